package httpserver

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/valyala/fasthttp/fasthttpadaptor"
)

// Health answers GET /health: {"status":"healthy","timestamp","version"}.
func Health(version string, now func() time.Time) fiber.Handler {
	return func(c *fiber.Ctx) error {
		return c.JSON(struct {
			Status    string `json:"status"`
			Timestamp Time   `json:"timestamp"`
			Version   string `json:"version"`
		}{"healthy", Time(now()), version})
	}
}

// Readiness says whether a service should be sent requests: it has started and
// is not draining. A dependency that went away afterwards is a detail, not a
// reason to leave: all replicas would leave together.
type Readiness struct {
	draining atomic.Bool
	checks   map[string]func(context.Context) error
}

// NewReadiness takes the checks that are shown as details, by name.
func NewReadiness(checks map[string]func(context.Context) error) *Readiness {
	return &Readiness{checks: checks}
}

// Drain makes the service not ready from now on.
func (r *Readiness) Drain() { r.draining.Store(true) }

// Check runs the checks, each for a second at most, and gives "ok" or
// "unavailable" by name. The second result is whether the service is ready.
func (r *Readiness) Check(ctx context.Context) (map[string]string, bool) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	details := make(map[string]string, len(r.checks))
	for name, check := range r.checks {
		details[name] = "ok"
		if err := check(ctx); err != nil {
			details[name] = "unavailable"
		}
	}
	return details, !r.draining.Load()
}

// AddInternal gives the application on a service's second listener /livez,
// /readyz and /metrics.
func AddInternal(f *fiber.App, ready *Readiness, metrics prometheus.Gatherer) {
	f.Get("/livez", func(c *fiber.Ctx) error { return c.SendString("ok\n") })
	f.Get("/readyz", func(c *fiber.Ctx) error {
		details, ok := ready.Check(c.UserContext())
		status := "ready"
		if !ok {
			status = "draining"
			c.Status(http.StatusServiceUnavailable)
		}
		return c.JSON(fiber.Map{"status": status, "checks": details})
	})
	scrape := fasthttpadaptor.NewFastHTTPHandler(promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	f.Get("/metrics", func(c *fiber.Ctx) error { scrape(c.Context()); return nil })
}
