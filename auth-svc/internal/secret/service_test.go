package secret_test

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chatplatform.io/auth-svc/internal/secret"
)

func openServices(t *testing.T, dir string) *secret.Services {
	t.Helper()
	services, err := secret.OpenServices(dir, "SERVICES_DIR", quick)
	require.NoError(t, err)
	t.Cleanup(services.Close)
	return services
}

func TestServicesVerify(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, second := strings.Repeat("a", 32), strings.Repeat("b", 32)
	lay(t, dir, map[string]string{"chat-svc": first + "\n\n" + second + "\n", "agent-llm-svc": strings.Repeat("c", 32)})
	services := openServices(t, dir)
	cases := map[string]struct {
		service, given string
		want           bool
	}{
		"the first line":           {"chat-svc", first, true},
		"the second line":          {"chat-svc", second, true},
		"another service's secret": {"agent-llm-svc", first, false},
		"an unknown service":       {"nobody", first, false},
		"nothing":                  {"chat-svc", "", false},
		"both lines":               {"chat-svc", first + "\n\n" + second, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tc.want, services.Verify(tc.service, secret.From(tc.given)))
		})
	}
}

func TestServiceSecretIsReplaced(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	old, fresh := strings.Repeat("a", 32), strings.Repeat("b", 32)
	lay(t, dir, map[string]string{"chat-svc": old})
	services := openServices(t, dir)
	lay(t, dir, map[string]string{"chat-svc": fresh})
	require.Eventually(t, func() bool { return services.Verify("chat-svc", secret.From(fresh)) }, soon, time.Millisecond)
	require.False(t, services.Verify("chat-svc", secret.From(old)))
}

func TestServicesFolderThatIsNoGood(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		files map[string]string
		want  string
	}{
		"empty":                {nil, "openssl rand"},
		"a short secret":       {map[string]string{"chat-svc": "hidden-content"}, "has 14 bytes"},
		"an empty file":        {map[string]string{"chat-svc": "\n"}, "has 0 secrets"},
		"too many secrets":     {map[string]string{"chat-svc": strings.Repeat(strings.Repeat("a", 32)+"\n", 5)}, "has 5 secrets"},
		"a name of no service": {map[string]string{"Chat.txt": strings.Repeat("a", 32)}, `"Chat.txt"`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			lay(t, dir, tc.files)
			_, err := secret.OpenServices(dir, "SERVICES_DIR", quick)
			require.ErrorContains(t, err, tc.want)
			require.ErrorContains(t, err, "SERVICES_DIR="+dir)
			require.NotContains(t, err.Error(), "hidden-content")
		})
	}
}

func TestGenerateService(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "services")
	require.NoError(t, secret.GenerateService(dir, "chat-svc", rand.Reader))
	made, err := os.ReadFile(filepath.Join(dir, "chat-svc"))
	require.NoError(t, err)
	require.NoError(t, secret.GenerateService(dir, "chat-svc", rand.Reader))
	again, err := os.ReadFile(filepath.Join(dir, "chat-svc"))
	require.NoError(t, err)
	require.Equal(t, made, again)
	require.True(t, openServices(t, dir).Verify("chat-svc", secret.From(strings.TrimSpace(string(made)))))
	require.ErrorContains(t, secret.GenerateService(dir, "../escape", rand.Reader), "not usable")
}
