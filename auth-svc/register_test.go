package authsvc_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"chatplatform.io/svckit/svctest"
)

const registerPath = "/api/auth/register"

func TestRegister(t *testing.T) {
	t.Parallel()
	d := newWorld(t).open(t)
	tests := map[string]struct {
		body    map[string]any
		kind    string
		meta    map[string]any
		profile string
	}{
		"a name is enough":              {body: map[string]any{}, kind: "agent", meta: map[string]any{}},
		"a human":                       {body: map[string]any{"kind": "human"}, kind: "human", meta: map[string]any{}},
		"an agent by name":              {body: map[string]any{"kind": "agent"}, kind: "agent", meta: map[string]any{}},
		"unknown fields are ignored":    {body: map[string]any{"color": "red", "id": 7}, kind: "agent", meta: map[string]any{}},
		"values at their limits":        {body: map[string]any{"metadata": limits("😀", 0)}, kind: "agent", meta: limits("😀", 0), profile: strings.Repeat("😀", 2000)},
		"NUL is a character":            {body: map[string]any{"metadata": map[string]any{"owner": "a\x00b"}}, kind: "agent", meta: map[string]any{"owner": "a\x00b"}},
		"metadata that is partly given": {body: map[string]any{"metadata": map[string]any{"version": "1"}}, kind: "agent", meta: map[string]any{"version": "1"}},
	}
	for outcome, tt := range tests {
		t.Run(outcome, func(t *testing.T) {
			t.Parallel()
			tt.body["agent_name"] = newName()
			r := d.Call(t, http.MethodPost, registerPath, tt.body)
			require.Equal(t, http.StatusCreated, r.Status, string(r.Body))
			require.Equal(t, tt.body["agent_name"], r.Text("agent_name"))
			require.Equal(t, false, r.Get("email_verification_sent"))
			require.Nil(t, r.Get("email_verification_expires_at"))

			a := agent{id: r.Text("agent_id"), recovery: r.Text("recovery_key")}
			a.keyID, a.key = d.newKey(t, a)
			a.token = d.newToken(t, a)
			p := d.Call(t, http.MethodGet, "/api/agents/"+a.id+"/profile", nil, a.bearer())
			require.Equal(t, tt.kind, p.Text("kind"))
			require.Equal(t, tt.meta, p.Get("metadata"))
			require.Equal(t, tt.profile, p.Text("description"))
			require.Equal(t, r.Text("created_at"), p.Text("created_at"))
		})
	}
}

// limits are the longest metadata, and over characters more.
func limits(character string, over int) map[string]any {
	return map[string]any{
		"description": strings.Repeat(character, 2000+over),
		"owner":       strings.Repeat(character, 200+over),
		"version":     strings.Repeat(character, 50+over),
	}
}

func TestRegisterRefusesValues(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	named := func(field string, value any) map[string]any {
		return map[string]any{"agent_name": "valid-name", field: value}
	}
	meta := func(field string, value any) map[string]any { return named("metadata", map[string]any{field: value}) }
	tests := map[string]struct {
		body  any
		field string
	}{
		"no name":                          {map[string]any{}, "agent_name"},
		"an empty name":                    {map[string]any{"agent_name": ""}, "agent_name"},
		"a name of two characters":         {map[string]any{"agent_name": "ab"}, "agent_name"},
		"a name of 51 characters":          {map[string]any{"agent_name": strings.Repeat("a", 51)}, "agent_name"},
		"a name with an underscore":        {map[string]any{"agent_name": "a_b"}, "agent_name"},
		"a name with a space":              {map[string]any{"agent_name": "a b"}, "agent_name"},
		"a name with a line end":           {map[string]any{"agent_name": "abc\n"}, "agent_name"},
		"a name with an umlaut":            {map[string]any{"agent_name": "bär"}, "agent_name"},
		"a name that is a number":          {map[string]any{"agent_name": 123}, "agent_name"},
		"a name that is a list":            {map[string]any{"agent_name": []string{"abc"}}, "agent_name"},
		"an unknown kind":                  {named("kind", "robot"), "kind"},
		"a kind that is true":              {named("kind", true), "kind"},
		"an e-mail address without a host": {named("email", "ada"), "email"},
		"two e-mail addresses":             {named("email", "a@example.com, b@example.com"), "email"},
		"an e-mail address with a name":    {named("email", "Ada <a@example.com>"), "email"},
		"an e-mail address with a header":  {named("email", "a@example.com\r\nBcc: b@example.com"), "email"},
		"an e-mail address of 255 bytes":   {named("email", strings.Repeat("a", 243)+"@example.com"), "email"},
		"an e-mail address that is a list": {named("email", []string{"a@example.com"}), "email"},
		"a long description":               {meta("description", strings.Repeat("é", 2001)), "metadata.description"},
		"a long owner":                     {meta("owner", strings.Repeat("é", 201)), "metadata.owner"},
		"a long version":                   {meta("version", strings.Repeat("é", 51)), "metadata.version"},
		"an owner that is a number":        {meta("owner", 1), "metadata.owner"},
		"metadata that is a text":          {named("metadata", "x"), "metadata"},
		"a list in place of an object":     {[]any{}, "body"},
		"a text in place of an object":     {"valid-name", "body"},
	}
	for outcome, tt := range tests {
		t.Run(outcome, func(t *testing.T) {
			refusedField(t, d.Call(t, http.MethodPost, registerPath, tt.body, svctest.BadRequest()), tt.field)
		})
	}
	require.Zero(t, w.count(t, "accounts"))
	require.Zero(t, w.count(t, "names"))
}

func TestRegisterRefusesBodies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	good := []byte(`{"agent_name":"valid-name"}`)
	filled := func(size int) []byte {
		return fmt.Appendf(nil, `{"agent_name":"valid-name","filler":%q}`, bytes.Repeat([]byte("x"), size))
	}
	const mib = 1 << 20
	tests := map[string]struct {
		media, encoding string
		body            []byte
		status          int
		code            string
	}{
		"malformed JSON":           {"application/json", "", []byte(`{"agent_name":}`), 400, "INVALID_REQUEST"},
		"JSON that breaks off":     {"application/json", "", []byte(`{"agent_name":"valid-na`), 400, "INVALID_REQUEST"},
		"two objects":              {"application/json", "", []byte(`{"agent_name":"valid-name"}{}`), 400, "INVALID_REQUEST"},
		"null":                     {"application/json", "", []byte(`null`), 400, "INVALID_REQUEST"},
		"no body":                  {"application/json", "", nil, 400, "INVALID_REQUEST"},
		"only spaces":              {"application/json", "", []byte("  \n"), 400, "INVALID_REQUEST"},
		"deep nesting":             {"application/json", "", []byte(`{"x":` + strings.Repeat("[", 100_000)), 400, "INVALID_REQUEST"},
		"plain text":               {"text/plain", "", good, 415, "UNSUPPORTED_MEDIA_TYPE"},
		"a form":                   {"application/x-www-form-urlencoded", "", []byte("agent_name=valid-name"), 415, "UNSUPPORTED_MEDIA_TYPE"},
		"no media type":            {"", "", good, 415, "UNSUPPORTED_MEDIA_TYPE"},
		"a malformed media type":   {"application/json; charset", "", good, 415, "UNSUPPORTED_MEDIA_TYPE"},
		"a compressed body":        {"application/json", "gzip", good, 415, "UNSUPPORTED_MEDIA_TYPE"},
		"a body just over 1 MiB":   {"application/json", "", filled(mib), 413, "PAYLOAD_TOO_LARGE"},
		"a body of 3 MiB":          {"application/json", "", filled(3 * mib), 413, "PAYLOAD_TOO_LARGE"},
		"a body of 20 MiB":         {"application/json", "", filled(20 * mib), 413, "PAYLOAD_TOO_LARGE"},
		"a large body of any type": {"application/zip", "", filled(3 * mib), 413, "PAYLOAD_TOO_LARGE"},
	}
	for outcome, tt := range tests {
		t.Run(outcome, func(t *testing.T) {
			opts := []svctest.Option{svctest.WithRaw(tt.media, tt.body), svctest.BadRequest()}
			if tt.encoding != "" {
				opts = append(opts, svctest.WithHeader("Content-Encoding", tt.encoding))
			}
			refused(t, d.Call(t, http.MethodPost, registerPath, nil, opts...), tt.status, tt.code)
		})
	}
	require.Zero(t, w.count(t, "accounts"))

	r := d.Call(t, http.MethodPost, registerPath, nil, svctest.WithRaw("application/json; charset=utf-8", filled(mib-100)))
	require.Equal(t, http.StatusCreated, r.Status, "a body just under 1 MiB is served")
}

func TestNamesBelongToOneAccountForGood(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	d.register(t, map[string]any{"agent_name": "Harbour-Pilot"})
	for _, name := range []string{"Harbour-Pilot", "harbour-pilot", "HARBOUR-PILOT"} {
		refused(t, d.Call(t, http.MethodPost, registerPath, map[string]any{"agent_name": name}), http.StatusConflict, "CONFLICT")
	}
	require.Equal(t, 1, w.count(t, "accounts"))
}

func TestRacingRegistrationsOfOneName(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	doors := []*door{w.open(t), w.open(t)}
	const racers = 8
	statuses := make([]int, racers)
	var racing sync.WaitGroup
	for i := range racers {
		racing.Go(func() {
			name := []string{"the-one", "The-One", "THE-ONE"}[i%3]
			statuses[i] = doors[i%2].Call(t, http.MethodPost, registerPath, map[string]any{"agent_name": name}).Status
		})
	}
	racing.Wait()
	seen := map[int]int{}
	for _, status := range statuses {
		seen[status]++
	}
	require.Equal(t, map[int]int{http.StatusCreated: 1, http.StatusConflict: racers - 1}, seen)
	require.Equal(t, 1, w.count(t, "accounts"))
	require.Equal(t, 1, w.count(t, "names"))
}
