// Package verifypage holds the page that a mailed verification link opens: one
// HTML document without outside assets. It reads the token from the fragment of
// its address and, when its button is pressed, posts it to that same address.
// docs/api/auth.md describes the exchange.
package verifypage

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"strings"
)

//go:embed page.html
var document string

//go:embed page.css
var style string

//go:embed page.js
var script string

// A Page is the document, ready to be served as text/html; charset=utf-8.
type Page struct {
	HTML []byte
	// Headers are to be sent with it, the strict Content-Security-Policy among
	// them: the page's own script and style run, it can talk to its own origin,
	// and nothing may frame it or be loaded by it.
	Headers map[string]string
}

// New puts the page together.
func New() Page {
	policy := strings.Join([]string{
		"default-src 'none'",
		"script-src " + source(script),
		"style-src " + source(style),
		"connect-src 'self'",
		"base-uri 'none'",
		"form-action 'none'",
		"frame-ancestors 'none'",
	}, "; ")
	html := strings.NewReplacer("/*style*/", style, "/*script*/", script).Replace(document)
	return Page{
		HTML: []byte(html),
		Headers: map[string]string{
			"Content-Type":            "text/html; charset=utf-8",
			"Content-Security-Policy": policy,
			"Cache-Control":           "no-store",
			"Referrer-Policy":         "no-referrer",
			"X-Content-Type-Options":  "nosniff",
		},
	}
}

// source allows one inline text by its hash (CSP Level 3, §2.3.1).
func source(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
