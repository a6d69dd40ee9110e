package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDocuments(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ yaml, json, err string }{
		"keys are sorted and numbers kept": {
			yaml: "openapi: 3.1.0\ninfo: {version: '1', title: T}\nmaximum: 9007199254740993\n",
			json: "{\n  \"info\": {\n    \"title\": \"T\",\n    \"version\": \"1\"\n  },\n" +
				"  \"maximum\": 9007199254740993,\n  \"openapi\": \"3.1.0\"\n}\n",
		},
		"markup is not escaped":  {yaml: "a: <b> & c\n", json: "{\n  \"a\": \"<b> & c\"\n}\n"},
		"a key twice is refused": {yaml: "a: 1\na: 2\n", err: `key "a" already set`},
		"broken YAML is refused": {yaml: "a: [\n", err: "read YAML"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			require.NoError(t, os.Mkdir(filepath.Join(root, "svc"), 0o755))
			require.NoError(t, os.WriteFile(filepath.Join(root, "svc", "openapi.yaml"), []byte(tt.yaml), 0o600))

			err := documents(root)

			written, _ := os.ReadFile(filepath.Join(root, "svc", "openapi.json"))
			require.Equal(t, tt.json, string(written))
			if tt.err == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, tt.err)
				require.ErrorContains(t, err, "svc/openapi.yaml")
			}
		})
	}
}

func TestFill(t *testing.T) {
	t.Parallel()
	type config struct {
		Name string `env:"NAME" envDefault:"x" doc:"What it is called."`
	}
	const row = "| `NAME` | `x` | What it is called. |"
	tests := map[string]struct{ page, want, err string }{
		"an empty place is filled":   {page: "# T\n" + begin + "\n" + end + "\nrest\n", want: row},
		"an older table is replaced": {page: begin + "\n| old |\n" + end, want: row},
		"no markers":                 {page: "# T\n", err: begin + " is missing"},
		"no end":                     {page: begin + "\n", err: end + " is missing"},
		"the end before the begin":   {page: end + "\n" + begin, err: end + " is missing"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			path := filepath.Join(root, "README.md")
			require.NoError(t, os.WriteFile(path, []byte(tt.page), 0o600))
			all := []table{{page: "README.md", config: config{}}}

			err := fill(root, all)

			if tt.err != "" {
				require.ErrorContains(t, err, tt.err)
				return
			}
			require.NoError(t, err)
			first, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Contains(t, string(first), tt.want)
			require.NotContains(t, string(first), "old")
			require.NoError(t, fill(root, all), "a second time")
			second, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, string(first), string(second))
		})
	}
}
