package settings_test

import (
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chatplatform.io/svckit/settings"
)

type inner struct {
	Timeout time.Duration `env:"INNER_TIMEOUT" envDefault:"5s" doc:"How long."`
	Hidden  []func()      `env:"-"`
}

type prefixed struct {
	Port int `env:"PORT" envDefault:"25" doc:"A port."`
}

type config struct {
	Name    string         `env:"NAME,notEmpty" doc:"What it is called."`
	Key     string         `env:"KEY,required" doc:"A key."`
	Timeout time.Duration  `env:"TIMEOUT" envDefault:"10s" doc:"How long in all."`
	Count   int            `env:"COUNT" doc:"How many."`
	Level   slog.Level     `env:"LEVEL" envDefault:"INFO" doc:"Which lines."`
	Nets    []netip.Prefix `env:"NETS" doc:"Which networks."`
	Inner   inner
	Mail    prefixed `envPrefix:"MAIL_"`
	other   string
}

func TestLoad(t *testing.T) {
	t.Parallel()
	got, err := settings.Load[config]([]string{
		"NAME=x", "KEY=k=v", "TIMEOUT=1m", "LEVEL=DEBUG", "NETS=10.0.0.0/8,::1/128", "MAIL_PORT=2525", "UNKNOWN=1", "PORT=9",
	})
	require.NoError(t, err)
	require.Equal(t, config{
		Name: "x", Key: "k=v", Timeout: time.Minute, Level: slog.LevelDebug,
		Nets:  []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")},
		Inner: inner{Timeout: 5 * time.Second}, Mail: prefixed{Port: 2525},
	}, got)
	require.Empty(t, got.other)
}

func TestLoadNamesEveryProblem(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		environ []string
		says    []string
	}{
		"what is missing":       {nil, []string{"NAME", "KEY"}},
		"what is empty":         {[]string{"NAME=", "KEY=x"}, []string{"NAME"}},
		"a malformed number":    {[]string{"NAME=x", "KEY=x", "COUNT=hunter2"}, []string{"COUNT: cannot be read as int"}},
		"a malformed duration":  {[]string{"NAME=x", "KEY=x", "TIMEOUT=hunter2"}, []string{"TIMEOUT", "cannot be read as time.Duration"}},
		"a malformed inner one": {[]string{"NAME=x", "KEY=x", "INNER_TIMEOUT=hunter2"}, []string{"INNER_TIMEOUT"}},
		"one with a prefix":     {[]string{"NAME=x", "KEY=x", "MAIL_PORT=hunter2"}, []string{"MAIL_PORT: cannot be read as int"}},
		"a malformed level":     {[]string{"NAME=x", "KEY=x", "LEVEL=hunter2"}, []string{"LEVEL"}},
		"a malformed network":   {[]string{"NAME=x", "KEY=x", "NETS=hunter2"}, []string{"NETS"}},
		"several at once":       {[]string{"COUNT=hunter2", "LEVEL=hunter2"}, []string{"NAME", "KEY", "COUNT", "LEVEL"}},
	}
	for outcome, tt := range tests {
		t.Run(outcome, func(t *testing.T) {
			t.Parallel()
			_, err := settings.Load[config](tt.environ)
			require.Error(t, err)
			for _, word := range tt.says {
				require.ErrorContains(t, err, word)
			}
			require.NotContains(t, err.Error(), "hunter2", "a value may be a secret in the wrong place")
		})
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	require.Equal(t, strings.Join([]string{
		"| variable | default | what it does |", "|---|---|---|",
		"| `NAME` | required | What it is called. |", "| `KEY` | required | A key. |", "| `TIMEOUT` | `10s` | How long in all. |",
		"| `COUNT` | none | How many. |", "| `LEVEL` | `INFO` | Which lines. |", "| `NETS` | none | Which networks. |",
		"| `INNER_TIMEOUT` | `5s` | How long. |", "| `MAIL_PORT` | `25` | A port. |", "",
	}, "\n"), settings.Table(config{}))
}
