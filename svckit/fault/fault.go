// Package fault declares the errors that a caller may act on.
//
// A fault has a kind, which decides the HTTP status (one table in package
// httpserver), and a stable code, which clients compare. Every error that is
// not a fault is internal: it is logged once where it surfaces and shown to
// nobody. docs/api/conventions.md lists the codes.
package fault

import (
	"errors"
	"fmt"
	"maps"
	"time"
)

// Kind says what sort of refusal a fault is.
type Kind uint8

// The kinds, in the order of the statuses they become.
const (
	Internal Kind = iota
	Invalid
	Unauthenticated
	Forbidden
	NotFound
	MethodNotAllowed
	Conflict
	TooLarge
	UnsupportedMedia
	Unprocessable
	RateLimited
	Unavailable
)

// A Fault is an error meant for the caller. Faults are values: the methods
// that add to one return a copy and leave the declared fault as it was.
type Fault struct {
	Kind    Kind
	Code    string // UPPER_SNAKE, stable
	Message string // for people: what was wrong and what to do
	Details map[string]any
	// RetryAfter is how long the caller should wait. Above zero it is sent as
	// Retry-After, whatever the kind, in whole seconds rounded up.
	RetryAfter time.Duration

	cause error
}

// New declares a fault.
func New(kind Kind, code, message string) *Fault {
	return &Fault{Kind: kind, Code: code, Message: message}
}

// Error gives the code, the message and, for logs, the cause.
func (f *Fault) Error() string {
	if f.cause != nil {
		return fmt.Sprintf("%s: %s: %v", f.Code, f.Message, f.cause)
	}
	return f.Code + ": " + f.Message
}

// Is reports whether target is a fault of the same code.
func (f *Fault) Is(target error) bool {
	t, ok := target.(*Fault)
	return ok && t.Code == f.Code
}

// Unwrap gives the cause, which is for logs alone.
func (f *Fault) Unwrap() error { return f.cause }

// Because adds a cause; it reaches the log and never the caller.
func (f *Fault) Because(err error) *Fault {
	c := *f
	c.cause = err
	return &c
}

// Say replaces the message.
func (f *Fault) Say(format string, args ...any) *Fault {
	c := *f
	c.Message = fmt.Sprintf(format, args...)
	return &c
}

// With adds one entry to the details.
func (f *Fault) With(key string, value any) *Fault {
	c := *f
	c.Details = maps.Clone(f.Details)
	if c.Details == nil {
		c.Details = map[string]any{}
	}
	c.Details[key] = value
	return &c
}

// After sets the wait that the caller is told.
func (f *Fault) After(d time.Duration) *Fault {
	c := *f
	c.RetryAfter = d
	return &c
}

// The faults that every service knows.
var (
	ErrInvalid          = New(Invalid, "INVALID_REQUEST", "The request is not valid.")
	ErrUnauthenticated  = New(Unauthenticated, "UNAUTHORIZED", "A valid credential is required.")
	ErrForbidden        = New(Forbidden, "FORBIDDEN", "You may not do this.")
	ErrScope            = New(Forbidden, "INSUFFICIENT_SCOPE", "The token lacks a scope.")
	ErrQuota            = New(Forbidden, "QUOTA_EXCEEDED", "A quota is used up.")
	ErrNotFound         = New(NotFound, "NOT_FOUND", "There is nothing here that you can see.")
	ErrMethodNotAllowed = New(MethodNotAllowed, "METHOD_NOT_ALLOWED", "This path does not answer that method; see the Allow header.")
	ErrConflict         = New(Conflict, "CONFLICT", "This already exists or is in use.")
	ErrTooLarge         = New(TooLarge, "PAYLOAD_TOO_LARGE", "The request is larger than 1 MiB.")
	ErrMedia            = New(UnsupportedMedia, "UNSUPPORTED_MEDIA_TYPE", "Send the body as application/json.")
	ErrIdempotency      = New(Unprocessable, "IDEMPOTENCY_MISMATCH", "This idempotency key was used with another request.")
	ErrRateLimited      = New(RateLimited, "RATE_LIMIT_EXCEEDED", "Too many requests; wait as long as Retry-After says.").After(time.Second)
	ErrInternal         = New(Internal, "INTERNAL_ERROR", "Something went wrong on our side. The request id helps us find it.")
	ErrUnavailable      = New(Unavailable, "UNAVAILABLE", "The service cannot answer at the moment; try again.").After(time.Second)
)

// Field is ErrInvalid about one field, which stands in the details too.
func Field(field, format string, args ...any) *Fault {
	return ErrInvalid.Say("%s: %s", field, fmt.Sprintf(format, args...)).With("field", field)
}

// Of finds the fault in err. An error without one, nil excepted, is
// ErrInternal with err as its cause.
func Of(err error) *Fault {
	var f *Fault
	if errors.As(err, &f) {
		return f
	}
	return ErrInternal.Because(err)
}
