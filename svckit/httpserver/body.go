package httpserver

import (
	"bytes"
	"encoding/json"
	"errors"
	"mime"
	"reflect"
	"time"

	"github.com/gofiber/fiber/v2"

	"chatplatform.io/svckit/fault"
)

// Body reads the JSON object in a request into a T. It refuses other content
// types and encodings (415), and malformed JSON or a wrong type (400, naming
// the field). Unknown fields are ignored.
func Body[T any](c *fiber.Ctx) (T, error) {
	var into T
	if media, _, err := mime.ParseMediaType(c.Get(fiber.HeaderContentType)); err != nil || media != fiber.MIMEApplicationJSON {
		return into, fault.ErrMedia
	}
	if encoding := c.Get(fiber.HeaderContentEncoding); encoding != "" && encoding != "identity" {
		return into, fault.ErrMedia.Say("Send the body without a Content-Encoding.")
	}
	raw := c.Request().Body()
	if first := bytes.TrimLeft(raw, " \t\r\n"); len(first) == 0 || first[0] != '{' {
		return into, fault.Field("body", "must be a JSON object")
	}
	return into, decodeFault(json.Unmarshal(raw, &into))
}

// OptionalBody is Body for requests whose body may be left out; without one
// it returns the zero T.
func OptionalBody[T any](c *fiber.Ctx) (T, error) {
	if len(c.Request().Body()) == 0 {
		var zero T
		return zero, nil
	}
	return Body[T](c)
}

func decodeFault(err error) error {
	var syntax *json.SyntaxError
	var wrong *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &syntax):
		return fault.Field("body", "is not valid JSON (at byte %d)", syntax.Offset)
	case errors.As(err, &wrong):
		return fault.Field(wrong.Field, "must be %s, not a JSON %s", noun(wrong.Type), wrong.Value)
	}
	return fault.Field("body", "is not valid").Because(err)
}

// noun says in the words of JSON what a Go type takes.
func noun(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Pointer:
		return noun(t.Elem())
	case reflect.Float32, reflect.Float64:
		return "a number"
	default:
		return "a whole number"
	}
}

// A Time is an instant as the APIs write it: RFC 3339, UTC, milliseconds.
type Time time.Time

// MarshalJSON implements json.Marshaler.
func (t Time) MarshalJSON() ([]byte, error) {
	return time.Time(t).UTC().AppendFormat(nil, `"2006-01-02T15:04:05.000Z"`), nil
}

// NullTime is t, or null where t is nil or zero.
func NullTime(t *time.Time) *Time {
	if t == nil || t.IsZero() {
		return nil
	}
	return (*Time)(t)
}
