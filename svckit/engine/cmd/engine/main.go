// Command engine makes the database engine of local mode and tests ready ahead
// of time:
//
//	engine prepare
//
// It prints the path of the program, and on standard error the progress of the
// build when one is needed. With MONGODB_URI set there is nothing to prepare.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"chatplatform.io/svckit/engine"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) != 2 || os.Args[1] != "prepare" {
		fmt.Fprintln(os.Stderr, "usage: engine prepare")
		os.Exit(2)
	}
	if os.Getenv("MONGODB_URI") != "" {
		return
	}
	path, err := engine.Prepare(ctx, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(path)
}
