// Command generate rewrites the files that are derived from others. Run it at
// the root of the repository:
//
//	<service>/openapi.yaml, edge/gateway   -> openapi.json beside it
//	settings structs (see registry.go)     -> tables in the README files
//
// It writes only what changed, and prints the names of those files.
package main

import (
	"bytes"
	"fmt"
	"os"
)

func main() {
	if err := generate("."); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func generate(root string) error {
	if err := documents(root); err != nil {
		return err
	}
	return fill(root, tables())
}

// write replaces a file unless it already holds content.
func write(path string, content []byte) error {
	old, err := os.ReadFile(path)
	if err == nil && bytes.Equal(old, content) {
		return nil
	}
	if err := os.WriteFile(path, content, 0o644); err != nil { //nolint:gosec // sources are for everybody to read
		return fmt.Errorf("write a generated file: %w", err)
	}
	fmt.Println("wrote", path)
	return nil
}
