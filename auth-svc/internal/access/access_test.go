package access_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"chatplatform.io/auth-svc/internal/access"
)

func TestParseBasic(t *testing.T) {
	t.Parallel()
	encode := func(text string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(text)) }
	tests := map[string]struct {
		header, id, secret string // id "": refused
	}{
		"an id and a secret":        {encode("agt_1:sk_1"), "agt_1", "sk_1"},
		"the scheme in any case":    {"bASIC" + strings.TrimPrefix(encode("agt_1:sk_1"), "Basic"), "agt_1", "sk_1"},
		"without padding":           {strings.TrimRight(encode("agt_1:sk_12"), "="), "agt_1", "sk_12"},
		"spaces around":             {"Basic   " + strings.TrimPrefix(encode("a:b"), "Basic ") + " ", "a", "b"},
		"a colon in the secret":     {encode("agt_1:sk:1"), "agt_1", "sk:1"},
		"no scheme":                 {strings.TrimPrefix(encode("a:b"), "Basic "), "", ""},
		"another scheme":            {strings.Replace(encode("a:b"), "Basic", "Bearer", 1), "", ""},
		"nothing":                   {"", "", ""},
		"only the scheme":           {"Basic", "", ""},
		"nothing behind the scheme": {"Basic ", "", ""},
		"no base64":                 {"Basic a:b", "", ""},
		"a line end in the base64":  {"Basic YT\nOmI=", "", ""},
		"no colon":                  {encode("agt_1"), "", ""},
		"an empty id":               {encode(":sk_1"), "", ""},
		"an empty secret":           {encode("agt_1:"), "", ""},
		"longer than any of ours":   {encode("agt_1:" + strings.Repeat("x", 600)), "", ""},
	}
	for outcome, tt := range tests {
		t.Run(outcome, func(t *testing.T) {
			t.Parallel()
			id, given, ok := access.ParseBasic(tt.header)
			require.Equal(t, tt.id != "", ok)
			require.Equal(t, tt.id, id)
			require.Equal(t, tt.secret, given.Reveal())
		})
	}
}

func FuzzParseBasic(f *testing.F) {
	for _, seed := range []string{"Basic YTpi", "basic YTpi====", "Basic", "Basic Og==", "Bearer x", "Basic YTpi\r\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		id, given, ok := access.ParseBasic(header)
		if !ok {
			require.Empty(t, id)
			require.True(t, given.IsZero())
			return
		}
		require.NotEmpty(t, id)
		require.NotContains(t, id, ":")
		require.NotEmpty(t, given.Reveal())
		again, same, ok := access.ParseBasic("Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+given.Reveal())))
		require.True(t, ok)
		require.Equal(t, id, again)
		require.Equal(t, given.Reveal(), same.Reveal())
	})
}
