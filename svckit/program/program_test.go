package program_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chatplatform.io/svckit/httpserver"
	"chatplatform.io/svckit/observe"
	"chatplatform.io/svckit/program"
)

type config struct {
	Name    string `env:"NAME,notEmpty"`
	Serving httpserver.Settings
	Observe observe.Settings
}

// A service that tells what was done with it.
type service struct {
	steps  *[]string
	fail   error
	signal bool // has the process told to stop while it serves
}

func (s service) Serve(ctx context.Context, public, internal net.Listener) error {
	*s.steps = append(*s.steps, "serve")
	defer func() { _, _ = public.Close(), internal.Close() }()
	if s.signal {
		if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
			return err
		}
		<-ctx.Done()
	}
	return s.fail
}

func (s service) Close(context.Context) error {
	*s.steps = append(*s.steps, "close")
	return nil
}

// Not parallel: a signal reaches the whole process.
func TestProgram(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = taken.Close() }()
	good := []string{"NAME=x", "LISTEN=127.0.0.1:0", "INTERNAL_LISTEN=127.0.0.1:0"}
	broken := errors.New("it broke")
	tests := map[string]struct {
		args, environ []string
		service       service
		open, migrate error
		status        int
		says          string
		steps         []string
	}{
		"serve until told to stop": {[]string{"serve"}, good, service{signal: true}, nil, nil, 0, "", []string{"open", "serve", "close"}},
		"serve fails":              {[]string{"serve"}, good, service{fail: broken}, nil, nil, 1, "test serve: it broke", []string{"open", "serve", "close"}},
		"it does not open":         {[]string{"serve"}, good, service{}, broken, nil, 1, "it broke", []string{"open"}},
		"a taken address":          {[]string{"serve"}, []string{"NAME=x", "LISTEN=" + taken.Addr().String()}, service{}, nil, nil, 1, "LISTEN=" + taken.Addr().String(), nil},
		"a taken internal address": {[]string{"serve"}, []string{"NAME=x", "LISTEN=127.0.0.1:0", "INTERNAL_LISTEN=" + taken.Addr().String()}, service{}, nil, nil, 1, "INTERNAL_LISTEN=", nil},
		"migrate":                  {[]string{"migrate"}, good, service{}, nil, nil, 0, "", []string{"migrate"}},
		"migrate fails":            {[]string{"migrate"}, good, service{}, nil, broken, 1, "test migrate: it broke", []string{"migrate"}},
		"a missing setting":        {[]string{"serve"}, nil, service{}, nil, nil, 1, "NAME", nil},
		"no command":               {nil, good, service{}, nil, nil, 2, "usage: test serve | migrate", nil},
		"an unknown command":       {[]string{"sing"}, good, service{}, nil, nil, 2, "usage: test serve | migrate", nil},
		"too many words":           {[]string{"serve", "now"}, good, service{}, nil, nil, 2, "usage", nil},
	}
	for outcome, tt := range tests {
		t.Run(outcome, func(t *testing.T) {
			var steps []string
			var log, stderr bytes.Buffer
			tt.service.steps = &steps
			status := program.Program[config]{
				Name: "test", Version: "1",
				Shared: func(c config) (httpserver.Settings, observe.Settings) { return c.Serving, c.Observe },
				Open: func(_ context.Context, c config, d program.Deps) (program.Server, error) {
					steps = append(steps, "open")
					require.Equal(t, "x", c.Name)
					require.Equal(t, "1", d.Version)
					require.WithinDuration(t, time.Now(), d.Now(), time.Minute)
					return tt.service, tt.open
				},
				Migrate: func(context.Context, config, program.Deps) error {
					steps = append(steps, "migrate")
					return tt.migrate
				},
			}.Main(tt.args, tt.environ, &log, &stderr)
			require.Equal(t, tt.status, status, stderr.String())
			require.Contains(t, stderr.String(), tt.says)
			require.Equal(t, tt.steps, steps)
			if tt.status == 0 && tt.args[0] == "serve" {
				require.Contains(t, log.String(), `"msg":"serving"`)
			}
		})
	}
}
