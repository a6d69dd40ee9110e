package chatsvc

import (
	"net/http"

	"chatplatform.io/chat-svc/internal/events"
)

// Queued is how full the fullest queue of messages is, from 0 to 1.
func Queued(s *Server) float64 { return s.committer.Full() }

// Routes lists the public routes as "METHOD /path/:parameter".
func Routes(s *Server) []string {
	var routes []string
	for _, route := range s.Public.GetRoutes(true) {
		if route.Method != http.MethodHead { // the router answers HEAD where it answers GET
			routes = append(routes, route.Method+" "+route.Path)
		}
	}
	return routes
}

// Applied is how far the server's feed has come.
func Applied(s *Server) events.Position { return s.feed.Applied() }
