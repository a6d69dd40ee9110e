package authsvc

import "github.com/gofiber/fiber/v2"

// Routes are those of the public paths.
func (s *Server) Routes() []fiber.Route { return s.Public.GetRoutes(true) }
