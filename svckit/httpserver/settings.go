package httpserver

import (
	"log/slog"
	"net/netip"
	"time"
)

// Settings are those of every service's two listeners.
type Settings struct {
	Listen         string         `env:"LISTEN" envDefault:":8080" doc:"Address of the public listener."`
	InternalListen string         `env:"INTERNAL_LISTEN" envDefault:":9090" doc:"Address of the second listener: /livez, /readyz, /metrics and /internal/."`
	RequestTimeout time.Duration  `env:"REQUEST_TIMEOUT" envDefault:"10s" doc:"Longest that a request may work."`
	DrainDelay     time.Duration  `env:"DRAIN_DELAY" envDefault:"0s" doc:"How long requests are still taken after readiness went off, for load balancers to notice."`
	Grace          time.Duration  `env:"DRAIN_GRACE" envDefault:"20s" doc:"How long requests in flight may take to end when the service stops."`
	TrustedProxies []netip.Prefix `env:"TRUSTED_PROXIES" doc:"Networks, as 10.0.0.0/8 and separated by commas, whose X-Forwarded-For is believed."`
	Origins        []string       `env:"CORS_ORIGINS" doc:"Origins, as https://app.example.com and separated by commas, whose pages may call from a browser. Without any, no page of another origin may."`
}

// Options are the ServeOptions that the settings ask for.
func (s Settings) Options(logger *slog.Logger, ready *Readiness) ServeOptions {
	return ServeOptions{Logger: logger, Ready: ready, DrainDelay: s.DrainDelay, Grace: s.Grace}
}
