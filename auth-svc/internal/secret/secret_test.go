package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"chatplatform.io/auth-svc/internal/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSecretShowsNowhere(t *testing.T) {
	t.Parallel()
	const text = "sk_unmistakable"
	s := secret.From(text)
	holder := struct {
		Key  secret.Secret
		Keys []*secret.Secret
	}{s, []*secret.Secret{&s}}

	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%c", "%t"} {
		fmt.Fprintf(&out, verb, s)
		fmt.Fprintf(&out, verb, &s)
		fmt.Fprintf(&out, verb, holder)
	}
	for _, handler := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
		slog.New(handler).Info("said", "secret", s, "pointer", &s, "holder", holder)
	}
	encoded, err := json.Marshal(holder)
	require.NoError(t, err)
	out.Write(encoded)
	fmt.Fprint(&out, s.String(), fmt.Errorf("wrapped: %v", s))

	require.NotContains(t, out.String(), "unmistakable")
	require.NotContains(t, out.String(), fmt.Sprintf("%x", text))
	require.Contains(t, out.String(), "[secret]")
	require.Equal(t, text, s.Reveal())
	require.False(t, s.IsZero())
	require.True(t, secret.Secret{}.IsZero())
}

func TestSecretIsReadFromASetting(t *testing.T) {
	t.Parallel()
	var s secret.Secret
	require.NoError(t, s.UnmarshalText([]byte("from the environment")))
	require.Equal(t, "from the environment", s.Reveal())
}
