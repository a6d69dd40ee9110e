// Package mail writes the mails of auth-svc and hands them over: to an SMTP
// relay, or into a folder in local mode.
package mail

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	netmail "net/mail"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/wneessen/go-mail"
)

// MaxAddress is the longest e-mail address in bytes (RFC 5321 §4.5.3.1.3, less
// the angle brackets).
const MaxAddress = 254

// ErrRefused is found in an error of Send when sending the same mail again is of
// no use: the relay, or the address itself, refuses it for good. After any other
// error a later try may succeed.
var ErrRefused = errors.New("refused for good")

// A Message is one mail to one person. Its text may hold a secret: it is never
// shown by fmt or slog.
type Message struct {
	To      string // one address, as CheckAddress has it
	Subject string // one line
	Text    string // plain text, lines end with "\n"
	HTML    string // optional; says the same as Text
}

// String gives the subject alone.
func (m Message) String() string { return "mail " + m.Subject }

// Format gives the subject alone, whatever the verb.
func (m Message) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, m.String()) }

// LogValue gives the subject alone.
func (m Message) LogValue() slog.Value { return slog.StringValue(m.String()) }

// MarshalText gives the subject alone.
func (m Message) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// CheckAddress reports whether text is one bare e-mail address: no name, quotes
// or address literal, and at most MaxAddress bytes.
func CheckAddress(text string) bool {
	parsed, err := netmail.ParseAddress(text)
	return err == nil && parsed.Address == text && len(text) <= MaxAddress &&
		!strings.ContainsAny(text, "[]\"<>") && !strings.ContainsFunc(text, unprintable)
}

func unprintable(r rune) bool {
	return r == utf8.RuneError || unicode.IsSpace(r) || !unicode.IsPrint(r)
}

// compose makes the mail of m. The id is unique to it.
func compose(from string, m Message, now time.Time, id string) (*mail.Msg, error) {
	if !CheckAddress(m.To) {
		return nil, fmt.Errorf("the recipient is no e-mail address: %w", ErrRefused)
	}
	if strings.ContainsFunc(m.Subject, unicode.IsControl) {
		return nil, fmt.Errorf("the subject is not one line: %w", ErrRefused)
	}
	msg := mail.NewMsg(mail.WithNoDefaultUserAgent())
	if err := errors.Join(msg.From(from), msg.To(m.To)); err != nil {
		return nil, fmt.Errorf("address the mail: %w: %w", err, ErrRefused)
	}
	msg.Subject(m.Subject)
	msg.SetDateWithValue(now)
	msg.SetMessageIDWithValue(id + "@" + domainOf(from))
	// RFC 3834: no out-of-office answers to this.
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.SetBodyString(mail.TypeTextPlain, withCRLF(m.Text), mail.WithPartEncoding(encodingFor(m.Text)))
	if m.HTML != "" {
		msg.AddAlternativeString(mail.TypeTextHTML, withCRLF(m.HTML), mail.WithPartEncoding(encodingFor(m.HTML)))
	}
	return msg, nil
}

// encodingFor leaves plain lines as they are, so that a link can be copied from
// the raw mail too. (The library's own 7bit writes quoted-printable under that
// name.)
func encodingFor(text string) mail.Encoding {
	const longest = 998 // RFC 5322 §2.1.1
	for line := range strings.Lines(text) {
		if len(line) > longest || strings.ContainsFunc(strings.TrimSuffix(line, "\n"), unfitForALine) {
			return mail.EncodingQP
		}
	}
	return mail.NoEncoding
}

func unfitForALine(r rune) bool { return r >= unicode.MaxASCII || unicode.IsControl(r) && r != '\t' }

func withCRLF(text string) string {
	return strings.NewReplacer("\r\n", "\r\n", "\r", "\r\n", "\n", "\r\n").Replace(text)
}

func domainOf(from string) string {
	parsed, err := netmail.ParseAddress(from)
	if err != nil {
		return "localhost"
	}
	return parsed.Address[strings.LastIndexByte(parsed.Address, '@')+1:]
}
