package httpserver_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/stretchr/testify/require"
)

// Whoever holds a request's context, or one made of it, hears of its end:
// those who waited before, and those who look only afterwards.
func TestTheContextOfARequestEndsWithIt(t *testing.T) {
	t.Parallel()
	type key struct{}
	app, _, _ := newApp(t, time.Minute)
	var looked, waited, child, after context.Context
	app.Get("/", func(c *fiber.Ctx) error {
		at, ok := c.UserContext().Deadline()
		require.True(t, ok)
		require.InDelta(t, time.Minute, time.Until(at), float64(20*time.Second))
		waited = context.WithValue(c.UserContext(), key{}, "value")
		select {
		case <-waited.Done():
			t.Error("it has not ended")
		default:
		}
		var cancel func()
		child, cancel = context.WithCancel(waited)
		t.Cleanup(cancel)
		require.NoError(t, child.Err())
		require.Equal(t, "value", child.Value(key{}))
		return nil
	})
	app.Get("/later", func(c *fiber.Ctx) error { after = c.UserContext(); return nil })
	app.Get("/err", func(c *fiber.Ctx) error { looked = c.UserContext(); return looked.Err() })
	for _, path := range []string{"/", "/later", "/err"} {
		require.Equal(t, http.StatusOK, call(t, app, http.MethodGet, path, "").status)
	}
	for outcome, ctx := range map[string]context.Context{"waited": waited, "a child": child, "nobody waited": after, "looked": looked} {
		<-ctx.Done()
		require.ErrorIs(t, ctx.Err(), context.Canceled, outcome)
	}
}
