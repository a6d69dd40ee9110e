package routes_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"chatplatform.io/edge/routes"
)

const agent = "/api/agents/agt_3v7k9m2q8r5t1w4x6y0z"

func TestFind(t *testing.T) {
	t.Parallel()
	const nobody = routes.Service("")
	tests := map[string]struct {
		path string
		want routes.Service
	}{
		"a path beneath a prefix":                  {"/api/auth/verify-email/resend", routes.Auth},
		"a prefix itself":                          {"/api/messages", routes.Chat},
		"a prefix with a slash behind it":          {"/api/messages/", routes.Chat},
		"a prefix ends at a segment":               {"/api/messages2", nobody},
		"a member of a conversation":               {"/api/conversations/conv_1/members/agt_1", routes.Chat},
		"a block":                                  {"/api/blocks/blk_1", routes.Chat},
		"half a prefix is nothing":                 {"/api", nobody},
		"one segment where the pattern has braces": {agent, routes.Auth},
		"the pattern goes on after the braces":     {agent + "/profile", routes.Auth},
		"a prefix after the braces":                {agent + "/keys/aky_0m4n8p2q6r1s5t9v3w7x/rotate", routes.Auth},
		"beside the patterns of an agent":          {agent + "/chat", nobody},
		"beneath an exact pattern":                 {agent + "/profile/picture", nobody},
		"an exact pattern with a slash behind it":  {agent + "/", nobody},
		"no segment where the pattern has braces":  {"/api/agents/", nobody},
		"a method of the RPC family":               {"/api/getMe", routes.Auth},
		"a method about chats":                     {"/api/getChats", routes.Chat},
		"a method with something beneath":          {"/api/getChats/x", nobody},
		"a method in another case":                 {"/api/getme", nobody},
		"a well-known document":                    {"/.well-known/jwks.json", routes.Auth},
		"another well-known document":              {"/.well-known/openid-configuration", nobody},
		"metrics":                                  {"/metrics", nobody},
		"readiness":                                {"/readyz", nobody},
		"internal paths":                           {"/internal/introspect", nobody},
		"the root":                                 {"/", nobody},
		"nothing":                                  {"", nobody},
		"an asterisk":                              {"*", nobody},
		"no slash at the front":                    {"api/messages", nobody},
		"two slashes at the front":                 {"//api/messages", nobody},
		"two slashes within":                       {"/api//messages", nobody},
		"two slashes at the end":                   {"/api/messages//", nobody},
		"dots that lead up":                        {"/api/messages/../../internal/introspect", nobody},
		"dots that lead nowhere":                   {"/api/messages/./x", nobody},
		"dots at the end":                          {"/api/messages/..", nobody},
		"more dots are a name":                     {"/api/messages/...", routes.Chat},
		"escaped dots":                             {"/api/messages/%2e%2e/%2e%2e/internal/introspect", nobody},
		"an escaped slash":                         {"/api/messages/..%2F..%2Finternal", nobody},
		"an escape that stands for itself":         {"/api/m%65ssages", nobody},
		"a broken escape":                          {"/api/messages/%zz", nobody},
		"a backslash":                              {`/api/messages/..\..\internal`, nobody},
		"a path parameter":                         {"/api/messages/..;/..;/internal", nobody},
		"a zero byte":                              {"/api/messages/\x00", nobody},
		"a byte above ASCII":                       {"/api/messages/\u2215..", nobody},
		"a query is no part of a path":             {"/api/messages?x", nobody},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, ok := routes.Public().Find(tt.path)

			require.Equal(t, tt.want, got)
			require.Equal(t, tt.want != nobody, ok)
		})
	}
}

func TestPublicRulesNeverOverlap(t *testing.T) {
	t.Parallel()
	table := routes.Public()
	for i, a := range table {
		for _, b := range table[i+1:] {
			require.False(t, overlap(a, b), "%s and %s cover the same paths", a.Pattern, b.Pattern)
		}
	}
}

func TestOverlapIsSeen(t *testing.T) {
	t.Parallel()
	rule := func(pattern string, match routes.Match) routes.Rule {
		return routes.Rule{Service: routes.Auth, Pattern: pattern, Match: match}
	}
	require.True(t, overlap(rule("/a/{id}", routes.Exact), rule("/a/b", routes.Exact)))
	require.True(t, overlap(rule("/a", routes.Prefix), rule("/a/{id}/c", routes.Exact)))
	require.True(t, overlap(rule("/{x}/b", routes.Prefix), rule("/a/{y}/c", routes.Prefix)))
	require.False(t, overlap(rule("/a", routes.Exact), rule("/a/b", routes.Exact)))
	require.False(t, overlap(rule("/a/{id}/c", routes.Prefix), rule("/a/{id}/d", routes.Prefix)))
}

// overlap reports whether some path is covered by both rules.
func overlap(a, b routes.Rule) bool {
	x, y := strings.Split(a.Pattern, "/"), strings.Split(b.Pattern, "/")
	if len(x) > len(y) {
		a, x, y = b, y, x
	}
	for i := range x {
		if x[i] != y[i] && !routes.IsWildcard(x[i]) && !routes.IsWildcard(y[i]) {
			return false
		}
	}
	return len(x) == len(y) || a.Match == routes.Prefix
}

func TestPublicPatternsAreWritten(t *testing.T) {
	t.Parallel()
	for _, rule := range routes.Public() {
		require.True(t, strings.HasPrefix(rule.Pattern, "/"), rule.Pattern)
		require.False(t, strings.HasSuffix(rule.Pattern, "/"), rule.Pattern)
		sample := strings.NewReplacer("{", "", "}", "").Replace(rule.Pattern)
		found, ok := routes.Public().Find(sample)
		require.True(t, ok, sample)
		require.Equal(t, rule.Service, found, sample)
	}
}

func FuzzFind(f *testing.F) {
	for _, seed := range []string{
		"/api/messages", agent + "/keys/x", "/api/messages/../../metrics", "//internal/x", "/%69nternal/",
		"/api/auth/..;/internal", "/api/auth\\..\\internal", "/api/messages/%2f..", "*", "",
	} {
		f.Add(seed)
	}
	table := routes.Public()
	f.Fuzz(func(t *testing.T, path string) {
		service, ok := table.Find(path)
		if !ok {
			require.Empty(t, service)
			return
		}
		require.NotContains(t, path, "%")
		require.NotContains(t, path, "//")
		require.NotContains(t, path+"/", "/../")
		require.NotContains(t, path+"/", "/./")
		first, _, _ := strings.Cut(path[1:], "/")
		require.Contains(t, []string{"api", ".well-known"}, first)
		covering := 0
		for _, rule := range table {
			if rule.Covers(path) {
				covering++
				require.Equal(t, rule.Service, service)
			}
		}
		require.Equal(t, 1, covering, "rules overlap at %q", path)
	})
}
