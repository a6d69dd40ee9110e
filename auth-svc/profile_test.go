package authsvc_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"chatplatform.io/svckit/svctest"
)

func (d *door) profile(t *testing.T, a agent, as agent) *svctest.Response {
	t.Helper()
	return d.Call(t, http.MethodGet, a.path()+"/profile", nil, as.bearer(), svctest.BadRequest())
}

func TestUpdateProfile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	reader := d.newAgent(t, "presence:update")
	tests := map[string]struct {
		patch             map[string]any
		name, description string // name "": the username
	}{
		"nothing":                        {map[string]any{}, "First", "As registered"},
		"unknown fields":                 {map[string]any{"agent_name": "other"}, "First", "As registered"},
		"a name":                         {map[string]any{"display_name": "Weather Bot"}, "Weather Bot", "As registered"},
		"a description":                  {map[string]any{"description": "Tells"}, "First", "Tells"},
		"both at their limits":           {map[string]any{"display_name": strings.Repeat("😀", 100), "description": strings.Repeat("😀", 2000)}, strings.Repeat("😀", 100), strings.Repeat("😀", 2000)},
		"an empty name clears it":        {map[string]any{"display_name": ""}, "", "As registered"},
		"an empty description clears it": {map[string]any{"description": ""}, "First", ""},
	}
	for outcome, tt := range tests {
		t.Run(outcome, func(t *testing.T) {
			t.Parallel()
			a := d.register(t, map[string]any{"agent_name": newName(), "metadata": map[string]any{"description": "As registered"}})
			_, a.key = d.newKey(t, a, "presence:update")
			a.token = d.newToken(t, a)
			require.Equal(t, "As registered", d.profile(t, a, a).Text("description"))
			require.Equal(t, a.name, d.profile(t, a, a).Text("display_name"))
			require.Equal(t, http.StatusOK, d.Call(t, http.MethodPatch, a.path()+"/profile", map[string]any{"display_name": "First"}, a.bearer()).Status)

			r := d.Call(t, http.MethodPatch, a.path()+"/profile", tt.patch, a.bearer())
			require.Equal(t, http.StatusOK, r.Status, string(r.Body))
			if tt.name == "" {
				tt.name = a.name
			}
			for _, shown := range []*svctest.Response{r, d.profile(t, a, reader)} {
				require.Equal(t, tt.name, shown.Text("display_name"))
				require.Equal(t, tt.description, shown.Text("description"))
				require.Equal(t, "As registered", shown.Text("metadata.description"))
			}
		})
	}
}

func TestUpdateProfileRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	a, other := d.newAgent(t), d.newAgent(t)
	tests := map[string]struct {
		path   string
		body   any
		opts   []svctest.Option
		status int
		code   string
		field  string
	}{
		"a long name":                  {a.path(), map[string]any{"display_name": strings.Repeat("é", 101)}, nil, 400, "INVALID_REQUEST", "display_name"},
		"a long description":           {a.path(), map[string]any{"display_name": "x", "description": strings.Repeat("é", 2001)}, nil, 400, "INVALID_REQUEST", "description"},
		"a name that is a number":      {a.path(), map[string]any{"display_name": 1}, nil, 400, "INVALID_REQUEST", "display_name"},
		"a list in place of an object": {a.path(), []any{}, nil, 400, "INVALID_REQUEST", "body"},
		"no body":                      {a.path(), nil, nil, 415, "UNSUPPORTED_MEDIA_TYPE", ""},
		"plain text":                   {a.path(), nil, []svctest.Option{svctest.WithRaw("text/plain", []byte("{}"))}, 415, "UNSUPPORTED_MEDIA_TYPE", ""},
		"another's":                    {other.path(), map[string]any{"display_name": "x"}, nil, 403, "FORBIDDEN", ""},
		"nobody's":                     {"/api/agents/agt_00000000000000000000", map[string]any{"display_name": "x"}, nil, 403, "FORBIDDEN", ""},
		"a malformed id":               {"/api/agents/me", map[string]any{"display_name": "x"}, nil, 404, "NOT_FOUND", ""},
	}
	for outcome, tt := range tests {
		t.Run(outcome, func(t *testing.T) {
			r := d.Call(t, http.MethodPatch, tt.path+"/profile", tt.body, append(tt.opts, a.bearer(), svctest.BadRequest())...)
			refused(t, r, tt.status, tt.code)
			require.Equal(t, tt.field, r.Text("error.details.field"))
		})
	}
	require.Equal(t, a.name, d.profile(t, a, a).Text("display_name"))
	require.Equal(t, other.name, d.profile(t, other, a).Text("display_name"))
	require.Zero(t, w.count(t, "changes"))
}

func TestProfilesOfNobody(t *testing.T) {
	t.Parallel()
	d := newWorld(t).open(t)
	a := d.newAgent(t)
	for _, id := range []string{"agt_00000000000000000000", "agt_0", a.name, "agt_0000000000000000000U"} {
		refused(t, d.profile(t, agent{id: id}, a), http.StatusNotFound, "NOT_FOUND")
	}
}
