// Command chat-svc serves conversations and messages, or migrates their
// database.
package main

import (
	"context"
	"os"

	chatsvc "chatplatform.io/chat-svc"
	"chatplatform.io/svckit/httpserver"
	"chatplatform.io/svckit/observe"
	"chatplatform.io/svckit/program"
)

// version is set when the program is linked.
var version = "dev"

func main() {
	os.Exit(program.Program[chatsvc.Config]{
		Name:    chatsvc.Name,
		Version: version,
		Shared: func(c chatsvc.Config) (httpserver.Settings, observe.Settings) {
			return c.Serving, c.Observe
		},
		Open: func(ctx context.Context, c chatsvc.Config, d program.Deps) (program.Server, error) {
			return chatsvc.Open(ctx, c, d)
		},
		Migrate: chatsvc.Migrate,
	}.Main(os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}
