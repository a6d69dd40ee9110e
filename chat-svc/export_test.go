package chatsvc

import "net/http"

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
