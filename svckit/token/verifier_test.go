package token_test

import (
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/svctest"
	"chatplatform.io/svckit/token"
)

const (
	issuer   = "https://chat.example.com"
	audience = "chatplatform"
)

// keys is a KeySource over a map; err, when set, is what it answers.
type keys struct {
	known map[string]ed25519.PublicKey
	err   error
}

func (k *keys) Key(_ context.Context, kid string) (ed25519.PublicKey, error) {
	if k.err != nil {
		return nil, k.err
	}
	if key, ok := k.known[kid]; ok {
		return key, nil
	}
	return nil, token.ErrUnknownKey
}

// A mint makes tokens, right and wrong ones.
type mint struct {
	private, other ed25519.PrivateKey
	keys           *keys
	clock          *svctest.Clock
}

func newMint(t testing.TB) *mint {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	otherPublic, other, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	return &mint{
		private: private, other: other, clock: svctest.NewClock(),
		keys: &keys{known: map[string]ed25519.PublicKey{"first": public, "second": otherPublic}},
	}
}

func (m *mint) verifier(change ...func(*token.Config)) *token.Verifier {
	config := token.Config{
		Issuer: issuer, Audience: audience, Keys: m.keys, Capacity: 100, Now: m.clock.Now, Registry: prometheus.NewRegistry(),
	}
	for _, apply := range change {
		apply(&config)
	}
	return token.NewVerifier(config)
}

func header() map[string]any { return map[string]any{"alg": "EdDSA", "typ": "at+jwt", "kid": "first"} }

func (m *mint) claims() map[string]any {
	now := m.clock.Now()
	return map[string]any{
		"iss": issuer, "aud": audience, "sub": "agt_1", "client_id": "aky_1", "scope": "messages:read llm:chat", "jti": rand.Text(),
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(15 * time.Minute).Unix(), "auth_time": now.Unix(),
	}
}

func encode(part any) string {
	raw, err := json.Marshal(part)
	if err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

func sign(key ed25519.PrivateKey, header, claims any) string {
	text := encode(header) + "." + encode(claims)
	return text + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(key, []byte(text)))
}

// with changes one entry; nil takes it out.
func with(m map[string]any, key string, value any) map[string]any {
	m[key] = value
	if value == nil {
		delete(m, key)
	}
	return m
}

func TestVerify(t *testing.T) {
	t.Parallel()
	m := newMint(t)
	v := m.verifier()
	now := m.clock.Now()
	for outcome, raw := range map[string]string{
		"an ordinary token":          sign(m.private, header(), m.claims()),
		"one of the second key":      sign(m.other, with(header(), "kid", "second"), m.claims()),
		"a type in upper case":       sign(m.private, with(header(), "typ", "AT+JWT"), m.claims()),
		"several audiences":          sign(m.private, header(), with(m.claims(), "aud", []string{"x", audience})),
		"a clock that runs ahead":    sign(m.private, header(), with(with(m.claims(), "iat", now.Unix()+3), "nbf", now.Unix()+3)),
		"a clock that runs behind":   sign(m.private, header(), with(m.claims(), "exp", now.Unix()-2)),
		"claims that are not known":  sign(m.private, header(), with(m.claims(), "admin", true)),
		"headers that are not known": sign(m.private, with(header(), "x5c", []string{"AAAA"}), m.claims()),
	} {
		claims, err := v.Verify(t.Context(), raw)
		require.NoError(t, err, outcome)
		require.Equal(t, "agt_1", claims.Subject)
		require.Equal(t, "aky_1", claims.KeyID)
		require.Equal(t, token.Scopes{"messages:read", "llm:chat"}, claims.Scopes)
		require.WithinDuration(t, now, claims.AuthTime, time.Minute)
	}
}

// falseHeads are tokens whose header is not what it should be.
func (m *mint) falseHeads(good string) map[string]string {
	parts := strings.Split(good, ".")
	unsigned := func(alg string) string { return encode(with(header(), "alg", alg)) + "." + parts[1] }
	mac := func(text string, key []byte) string {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(text))
		return text + "." + base64.RawURLEncoding.EncodeToString(h.Sum(nil))
	}
	head := func(name string, value any) string { return sign(m.private, with(header(), name, value), m.claims()) }
	stolen := map[string]any{"kty": "OKP", "crv": "Ed25519", "x": base64.RawURLEncoding.EncodeToString(m.other.Public().(ed25519.PublicKey))}
	return map[string]string{
		"no algorithm, no signature":     unsigned("none") + ".",
		"no algorithm in capitals":       unsigned("NONE") + ".",
		"no algorithm, an old signature": unsigned("none") + "." + parts[2],
		"HMAC with the public key":       mac(unsigned("HS256"), m.keys.known["first"]),
		"HMAC with its base64":           mac(unsigned("HS256"), []byte(base64.RawURLEncoding.EncodeToString(m.keys.known["first"]))),
		"RSA in the header":              unsigned("RS256") + "." + parts[2],
		"Ed25519 by its newer name":      sign(m.private, with(header(), "alg", "Ed25519"), m.claims()),
		"no algorithm at all":            head("alg", nil),
		"an algorithm that is a number":  head("alg", 1),
		"another key's id":               head("kid", "second"),
		"another key's signature":        sign(m.other, header(), m.claims()),
		"an unknown key's id":            head("kid", "third"),
		"no key's id":                    head("kid", nil),
		"a key's id that is a number":    head("kid", 1),
		"a path for a key's id":          head("kid", "../../../../dev/null"),
		"a query for a key's id":         head("kid", "' OR 1=1 --"),
		"a key in the header":            sign(m.other, with(with(header(), "jwk", stolen), "kid", nil), m.claims()),
		"a key in the header beside kid": sign(m.other, with(header(), "jwk", stolen), m.claims()),
		"the address of a key set":       sign(m.other, with(with(header(), "jku", "https://evil.example.com/jwks.json"), "kid", "evil"), m.claims()),
		"the address of a certificate":   sign(m.other, with(header(), "x5u", "https://evil.example.com/x.pem"), m.claims()),
		"no type":                        head("typ", nil),
		"the type of any JWT":            head("typ", "JWT"),
		"the type of an identity token":  head("typ", "id+jwt"),
		"a type that is a list":          head("typ", []string{"at+jwt"}),
		"a header that is a text":        sign(m.private, "x", m.claims()),
	}
}

// falseClaims are well signed and say what they should not.
func (m *mint) falseClaims() map[string]string {
	now := m.clock.Now()
	claim := func(name string, value any) string { return sign(m.private, header(), with(m.claims(), name, value)) }
	return map[string]string{
		"expired":                       claim("exp", now.Unix()-6),
		"expired long ago":              claim("exp", 1),
		"no end":                        claim("exp", nil),
		"an end that is a text":         claim("exp", "never"),
		"not valid yet":                 claim("nbf", now.Unix()+60),
		"issued in the future":          claim("iat", now.Unix()+60),
		"another issuer":                claim("iss", "https://evil.example.com"),
		"the issuer with a slash":       claim("iss", issuer+"/"),
		"no issuer":                     claim("iss", nil),
		"another audience":              claim("aud", "auth-svc"),
		"an audience that begins alike": claim("aud", audience+"-admin"),
		"no audience":                   claim("aud", nil),
		"an empty list of audiences":    claim("aud", []string{}),
		"no subject":                    claim("sub", nil),
		"a subject that is a number":    claim("sub", 1),
		"no id":                         claim("jti", nil),
		"claims that are a list":        sign(m.private, header(), []any{}),
		"claims that are null":          sign(m.private, header(), nil),
		"longer than any of ours":       sign(m.private, header(), with(m.claims(), "scope", strings.Repeat("x", 4000))),
	}
}

// falseShapes are what is left of a good token that was tampered with.
func (m *mint) falseShapes(t *testing.T, good string) map[string]string {
	t.Helper()
	parts := strings.Split(good, ".")
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	require.NoError(t, err)
	// Four bits of the last character are not used.
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, good[len(good)-1])
	return map[string]string{
		"another text for the same bytes":  good[:len(good)-1] + alphabet[last+1:last+2],
		"nothing":                          "",
		"a word":                           "garbage",
		"two dots":                         "..",
		"other claims, an old signature":   parts[0] + "." + encode(with(m.claims(), "sub", "agt_2")) + "." + parts[2],
		"the signature cut short":          good[:len(good)-5],
		"the signature left out":           parts[0] + "." + parts[1],
		"an empty signature":               parts[0] + "." + parts[1] + ".",
		"the claims cut short":             parts[0] + "." + parts[1][:10] + "." + parts[2],
		"a dot too many":                   good + ".",
		"a part too many":                  good + "." + parts[2],
		"dots in between":                  parts[0] + ".." + parts[1] + "." + parts[2],
		"a space at the end":               good + " ",
		"a line end in between":            parts[0] + ".\n" + parts[1] + "." + parts[2],
		"base64 with padding":              parts[0] + "." + parts[1] + "." + base64.URLEncoding.EncodeToString(signature),
		"a signature with a bit flipped":   parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(append([]byte{signature[0] ^ 1}, signature[1:]...)),
		"a signature of zeros":             parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 64)),
		"very long":                        strings.Repeat("a", 1<<20),
		"a development token":              "dev:ops",
		"a token that a scheme was put in": "Bearer " + good,
	}
}

func TestVerifyRefusesForgeries(t *testing.T) {
	t.Parallel()
	m := newMint(t)
	v := m.verifier()
	good := sign(m.private, header(), m.claims())
	for _, forgeries := range []map[string]string{m.falseHeads(good), m.falseClaims(), m.falseShapes(t, good)} {
		for outcome, raw := range forgeries {
			t.Run(outcome, func(t *testing.T) {
				t.Parallel()
				claims, err := v.Verify(t.Context(), raw)
				require.ErrorIs(t, err, fault.ErrUnauthenticated)
				require.Nil(t, claims)
				if len(raw) > 10 {
					require.NotContains(t, fault.Of(err).Message, raw, "what is shown does not repeat the token")
				}
			})
		}
	}
	_, err := v.Verify(t.Context(), good)
	require.NoError(t, err)
}

func TestACachedTokenEnds(t *testing.T) {
	t.Parallel()
	tests := map[string]func(m *mint, revoked *bool){
		"with its time":                 func(m *mint, _ *bool) { m.clock.Advance(15*time.Minute + 6*time.Second) },
		"with its signing key":          func(m *mint, _ *bool) { delete(m.keys.known, "first") },
		"with its signing key's change": func(m *mint, _ *bool) { m.keys.known["first"] = m.keys.known["second"] },
		"when it is revoked":            func(_ *mint, revoked *bool) { *revoked = true },
	}
	for outcome, end := range tests {
		t.Run(outcome, func(t *testing.T) {
			t.Parallel()
			m, revoked := newMint(t), false
			v := m.verifier(func(c *token.Config) { c.Revoked = func(*token.Claims) bool { return revoked } })
			raw := sign(m.private, header(), m.claims())
			for range 2 {
				_, err := v.Verify(t.Context(), raw)
				require.NoError(t, err)
			}
			end(m, &revoked)
			_, err := v.Verify(t.Context(), raw)
			require.ErrorIs(t, err, fault.ErrUnauthenticated)
		})
	}
}

func TestKeysThatCannotBeHad(t *testing.T) {
	t.Parallel()
	m := newMint(t)
	v := m.verifier()
	known, fresh := sign(m.private, header(), m.claims()), sign(m.private, header(), m.claims())
	_, err := v.Verify(t.Context(), known)
	require.NoError(t, err)
	m.keys.err = errors.New("connection refused")
	_, err = v.Verify(t.Context(), known)
	require.NoError(t, err, "a token that was checked before goes on")
	_, err = v.Verify(t.Context(), fresh)
	require.ErrorIs(t, err, fault.ErrUnavailable)
	require.NotContains(t, fault.Of(err).Message, "connection")
}

func TestTheCacheIsBounded(t *testing.T) {
	t.Parallel()
	m := newMint(t)
	registry := prometheus.NewRegistry()
	v := m.verifier(func(c *token.Config) { c.Capacity, c.Registry = 2, registry })
	raws := make([]string, 200)
	for i := range raws {
		raws[i] = sign(m.private, header(), m.claims())
		_, err := v.Verify(t.Context(), raws[i])
		require.NoError(t, err)
	}
	for _, raw := range raws {
		_, err := v.Verify(t.Context(), raw)
		require.NoError(t, err)
	}
	require.Greater(t, counted(t, registry, "verified"), 300.0, "most were forgotten and verified anew")
}

func counted(t *testing.T, registry *prometheus.Registry, result string) float64 {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	for _, metric := range families[0].GetMetric() {
		if metric.GetLabel()[0].GetValue() == result {
			return metric.GetCounter().GetValue()
		}
	}
	return 0
}

func TestACachedCheckAllocatesLittle(t *testing.T) {
	m := newMint(t)
	v := m.verifier()
	raw, ctx := sign(m.private, header(), m.claims()), t.Context()
	check := func() {
		if _, err := v.Verify(ctx, raw); err != nil {
			panic(err)
		}
	}
	check()
	require.LessOrEqual(t, testing.AllocsPerRun(1000, check), 1.0)
}

func FuzzVerify(f *testing.F) {
	m := newMint(f)
	v := m.verifier()
	good := sign(m.private, header(), m.claims())
	for _, seed := range []string{good, good[:100], "", "..", "a.b.c", encode(with(header(), "alg", "none")) + "." + encode(m.claims()) + ".", "dev:ops"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		claims, err := v.Verify(context.Background(), raw)
		if raw == good {
			require.NoError(t, err)
			return
		}
		require.Error(t, err)
		require.Nil(t, claims)
		require.Equal(t, fault.Unauthenticated, fault.Of(err).Kind)
	})
}

func FuzzBearer(f *testing.F) {
	for _, seed := range []string{"", "Bearer x", "bearer  x ", "Bearer", "Basic eHg6eHg=", "Bearer\tx"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, given []byte) {
		raw, ok := token.Bearer(given)
		require.Equal(t, ok, raw != "")
		if ok {
			require.Contains(t, string(given), raw)
			require.True(t, strings.EqualFold("bearer ", string(given[:7])), "%q", given)
		}
	})
}
