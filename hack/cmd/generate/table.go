package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"chatplatform.io/svckit/settings"
)

const (
	begin = "<!-- settings:begin -->"
	end   = "<!-- settings:end -->"
)

// A table is a settings struct and the page that describes it between the two
// markers.
type table struct {
	page   string // from the root of the repository
	config any
}

// fill writes each table into its page.
func fill(root string, all []table) error {
	for _, t := range all {
		path := filepath.Join(root, t.page)
		text, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("read the page of a settings table: %w", err)
		}
		page, err := between(string(text), settings.Table(t.config))
		if err != nil {
			return fmt.Errorf("%s: %w", t.page, err)
		}
		if err := write(path, []byte(page)); err != nil {
			return err
		}
	}
	return nil
}

// between returns page with body in place of what stood between the markers.
func between(page, body string) (string, error) {
	head, rest, found := strings.Cut(page, begin)
	if !found {
		return "", fmt.Errorf("the line %s is missing", begin)
	}
	_, tail, found := strings.Cut(rest, end)
	if !found {
		return "", fmt.Errorf("the line %s is missing after %s", end, begin)
	}
	return head + begin + "\n\n" + strings.TrimSpace(body) + "\n\n" + end + tail, nil
}
