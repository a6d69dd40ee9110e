// Package secret makes and checks what an account proves itself with: recovery
// keys, API keys, mailed tokens and codes. It keeps none of them: what is
// stored is an HMAC-SHA-256 under a pepper that never enters the database.
//
// docs/api/conventions.md describes the formats.
package secret

import (
	"fmt"
	"io"
	"log/slog"
)

const hidden = "[secret]"

// A Secret is a text that must reach no log, error or metric: however it is
// printed, logged or encoded, it shows as "[secret]". Only Reveal gives the
// text. Compare secrets through Peppers or Services, never with ==.
type Secret struct{ text string }

// From wraps a text that a caller sent.
func From(text string) Secret { return Secret{text} }

// Reveal gives the text, for the one answer or mail that hands it over.
func (s Secret) Reveal() string { return s.text }

// IsZero reports whether there is no text at all.
func (s Secret) IsZero() bool { return s.text == "" }

// String hides the text.
func (Secret) String() string { return hidden }

// LogValue hides the text from slog.
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// Format hides the text from every verb of package fmt.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// MarshalText hides the text from encoders.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// UnmarshalText takes the text, so that a setting may hold a secret.
func (s *Secret) UnmarshalText(text []byte) error {
	s.text = string(text)
	return nil
}
