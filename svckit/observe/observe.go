// Package observe sets up what a service is watched by: its logger, its
// metrics registry and its traces.
package observe

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// Settings are those of every service.
type Settings struct {
	LogLevel      slog.Level `env:"LOG_LEVEL" envDefault:"INFO" doc:"Least level of the log lines written: DEBUG, INFO, WARN or ERROR."`
	TraceEndpoint string     `env:"OTEL_EXPORTER_OTLP_ENDPOINT" doc:"URL of an OpenTelemetry collector (OTLP over HTTP). Without one no traces are kept."`
	TraceShare    float64    `env:"TRACE_SHARE" envDefault:"0.01" doc:"Share of the traces begun here that are kept, from 0 to 1; traces begun by the caller follow the caller."`
}

// An Observer holds a service's logger, registry and tracer.
type Observer struct {
	Logger   *slog.Logger
	Registry *prometheus.Registry
	Tracer   trace.Tracer

	provider *sdktrace.TracerProvider // nil without an endpoint
}

// Open writes JSON log lines to w, makes a registry with the process's and the
// runtime's own metrics, and exports traces where an endpoint is set.
func Open(ctx context.Context, service, version string, s Settings, w io.Writer) (*Observer, error) {
	o := &Observer{
		Logger:   slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: s.LogLevel})).With("service", service),
		Registry: prometheus.NewRegistry(),
		Tracer:   noop.NewTracerProvider().Tracer(service),
	}
	o.Registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if s.TraceEndpoint == "" {
		return o, nil
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(s.TraceEndpoint))
	if err != nil {
		return nil, fmt.Errorf("export traces to OTEL_EXPORTER_OTLP_ENDPOINT: %w", err)
	}
	o.provider = sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(exporter),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(s.TraceShare))),
		sdktrace.WithResource(resource.NewSchemaless(
			attribute.String("service.name", service), attribute.String("service.version", version))),
	)
	o.Tracer = o.provider.Tracer(service)
	return o, nil
}

// Close sends the traces that are still here, until ctx ends.
func (o *Observer) Close(ctx context.Context) error {
	if o.provider == nil {
		return nil
	}
	return o.provider.Shutdown(ctx)
}
