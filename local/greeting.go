package local

import (
	_ "embed"
	"fmt"
	"io"
	"text/template"
)

//go:embed greeting.txt
var greeting string

// greet tells where the platform is and what to try. The commands need bash or
// zsh, curl, base64 and sed, and make names of their own, so that they can be
// pasted again and again.
func greet(w io.Writer, config Config, place Place) error {
	text, err := template.New("greeting").Parse(greeting)
	if err != nil {
		return fmt.Errorf("read the greeting: %w", err)
	}
	err = text.Execute(w, struct {
		Config
		Place
	}{config, place})
	if err != nil {
		return fmt.Errorf("write the greeting: %w", err)
	}
	return nil
}
