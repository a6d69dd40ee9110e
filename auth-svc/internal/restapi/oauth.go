package restapi

import (
	"errors"
	"mime"
	"net/url"

	"github.com/gofiber/fiber/v2"

	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/httpserver"
)

const maxForm = 16 << 10 // bytes

// isForm tells whether the caller speaks to us as OAuth libraries do.
func isForm(c *fiber.Ctx) bool {
	media, _, err := mime.ParseMediaType(c.Get(fiber.HeaderContentType))
	return err == nil && media == fiber.MIMEApplicationForm
}

// Rephrase has the errors of form-encoded calls answered as RFC 6749 §5.2 has
// them, by path; those of JSON calls stay in the family's envelope.
func Rephrase() map[string]func(*fiber.Ctx, error) error {
	return map[string]func(*fiber.Ctx, error) error{tokenPath: oauth, revokePath: oauth}
}

func oauth(c *fiber.Ctx, err error) error {
	if !isForm(c) {
		return err
	}
	if errors.Is(err, errOtherAccount) {
		return httpserver.AsOAuth(fault.ErrInvalid.Say("The token belongs to another account."), "unauthorized_client")
	}
	return httpserver.AsOAuth(err, oauthName(fault.Of(err)))
}

// oauthName is a fault's error code in RFC 6749 §5.2.
func oauthName(f *fault.Fault) string {
	switch {
	case f.Kind == fault.Unauthenticated:
		return "invalid_client"
	case f.Kind == fault.RateLimited, f.Kind == fault.Unavailable:
		return "temporarily_unavailable"
	case f.Kind == fault.Internal:
		return "server_error"
	case f.Details["field"] == "grant_type":
		return "unsupported_grant_type"
	case f.Details["field"] == "scope":
		return "invalid_scope"
	}
	return "invalid_request"
}

// oauthBody reads a form by fromForm, or JSON; no body at all is an empty T.
func oauthBody[T any](c *fiber.Ctx, fromForm func(map[string]string) (T, error)) (T, error) {
	if !isForm(c) {
		return httpserver.OptionalBody[T](c)
	}
	form, err := parseForm(string(c.Request().Body()))
	if err != nil {
		var none T
		return none, err
	}
	return fromForm(form)
}

// parseForm reads the parameters of RFC 6749 appendix B: each at most once,
// those without a value as if left out.
func parseForm(raw string) (map[string]string, error) {
	if len(raw) > maxForm {
		return nil, fault.Field("body", "the form is larger than %d bytes", maxForm)
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, fault.Field("body", "is not a valid form").Because(err)
	}
	form := make(map[string]string, len(values))
	for name, given := range values {
		if len(given) > 1 {
			return nil, fault.ErrInvalid.Say("A parameter of the form is given more than once.")
		}
		if given[0] != "" {
			form[name] = given[0]
		}
	}
	return form, nil
}
