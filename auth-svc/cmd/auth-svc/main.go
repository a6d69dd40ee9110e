// Command auth-svc serves accounts, keys and tokens, or migrates their
// database.
package main

import (
	"context"
	"os"

	authsvc "chatplatform.io/auth-svc"
	"chatplatform.io/svckit/httpserver"
	"chatplatform.io/svckit/observe"
	"chatplatform.io/svckit/program"
)

// version is set when the program is linked.
var version = "dev"

func main() {
	os.Exit(program.Program[authsvc.Config]{
		Name:    authsvc.Name,
		Version: version,
		Shared: func(c authsvc.Config) (httpserver.Settings, observe.Settings) {
			return c.Serving, c.Observe
		},
		Open: func(ctx context.Context, c authsvc.Config, d program.Deps) (program.Server, error) {
			return authsvc.Open(ctx, c, d)
		},
		Migrate: authsvc.Migrate,
	}.Main(os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}
