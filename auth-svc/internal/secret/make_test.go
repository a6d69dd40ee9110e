package secret_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io"
	rand2 "math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"chatplatform.io/auth-svc/internal/secret"
)

func TestFormats(t *testing.T) {
	t.Parallel()
	maker := secret.NewMaker(rand.Reader)
	reveal := func(s secret.Secret, err error) (string, error) { return s.Reveal(), err }
	cases := map[string]struct {
		make func() (string, error)
		want string
	}{
		"agent id":      {maker.AgentID, `^agt_[0-9a-hjkmnp-tv-z]{20}$`},
		"key id":        {maker.KeyID, `^aky_[0-9a-hjkmnp-tv-z]{20}$`},
		"recovery key":  {func() (string, error) { return reveal(maker.RecoveryKey()) }, `^rk_[0-9A-Za-z]{29}$`},
		"api key":       {func() (string, error) { return reveal(maker.APIKey()) }, `^sk_[0-9A-Za-z]{29}$`},
		"email token":   {func() (string, error) { return reveal(maker.EmailToken()) }, `^ev_[0-9A-Za-z]{43}$`},
		"recovery code": {func() (string, error) { return reveal(maker.RecoveryCode()) }, `^([0-9A-HJKMNP-TV-Z]{4}-){3}[0-9A-HJKMNP-TV-Z]{4}$`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, err := tc.make()
			require.NoError(t, err)
			require.Regexp(t, tc.want, first)
			second, err := tc.make()
			require.NoError(t, err)
			require.NotEqual(t, first, second)
		})
	}
}

// The published quickstart pipes id:secret through base64, which breaks lines
// after 76 characters on Linux; a broken header is refused by every server.
func TestBasicCredentialFitsOneBase64Line(t *testing.T) {
	t.Parallel()
	maker := secret.NewMaker(rand.Reader)
	id, err := maker.AgentID()
	require.NoError(t, err)
	for name, draw := range map[string]func() (secret.Secret, error){
		"recovery key": maker.RecoveryKey, "api key": maker.APIKey,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key, err := draw()
			require.NoError(t, err)
			credential := id + ":" + key.Reveal()
			require.LessOrEqual(t, len(credential), 57)
			require.LessOrEqual(t, len(base64.StdEncoding.EncodeToString([]byte(credential))), 76)
		})
	}
}

func TestCharactersAreEquallyLikely(t *testing.T) {
	t.Parallel()
	maker := secret.NewMaker(rand2.NewChaCha8([32]byte{1})) // the same stream every time
	count := map[rune]int{}
	for range 30_000 {
		key, err := maker.APIKey()
		require.NoError(t, err)
		for _, character := range key.Reveal()[len("sk_") : len("sk_")+23] {
			count[character]++
		}
	}
	require.Len(t, count, 62)
	low, high := 1<<30, 0
	for _, n := range count {
		low, high = min(low, n), max(high, n)
	}
	// A plain modulo would make 8 of the characters a quarter more frequent.
	require.Less(t, float64(high)/float64(low), 1.12)
}

type cycle struct {
	data []byte
	at   int
}

func (c *cycle) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = c.data[c.at]
		c.at = (c.at + 1) % len(c.data)
	}
	return len(p), nil
}

func TestBrokenRandomSourceIsAnError(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for name, random := range map[string]io.Reader{
		"fails":         iotest.ErrReader(broken),
		"ends early":    strings.NewReader("short"),
		"never changes": &cycle{data: []byte{0xff}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := secret.NewMaker(random).APIKey()
			require.ErrorContains(t, err, "read random bytes")
		})
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	// The random part of 23 zeros, with the CRC-32 of "sk_" and it: a fixed
	// value, because scanners elsewhere rely on it.
	const fixed = "sk_00000000000000000000000" + fixedSum
	cases := map[string]struct {
		prefix, text string
		want         bool
	}{
		"a fixed api key":             {"sk_", fixed, true},
		"the same body as a recovery": {"rk_", "rk_" + fixed[3:], false},
		"another prefix than asked":   {"rk_", fixed, false},
		"one character changed":       {"sk_", strings.Replace(fixed, "00", "01", 1), false},
		"two characters swapped":      {"sk_", fixed[:len(fixed)-2] + fixed[len(fixed)-1:] + fixed[len(fixed)-2:len(fixed)-1], false},
		"cut short":                   {"sk_", fixed[:len(fixed)-1], false},
		"too long":                    {"sk_", fixed + "0", false},
		"a newline at the end":        {"sk_", fixed[:len(fixed)-1] + "\n", false},
		"empty":                       {"sk_", "", false},
		"the prefix alone":            {"sk_", "sk_", false},
		"not ASCII":                   {"sk_", "sk_" + strings.Repeat("é", 14) + "0", false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tc.want, secret.Check(tc.prefix, tc.text))
		})
	}
}

func TestCheckID(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		text string
		want bool
	}{
		"an id":                       {"agt_0123456789abcdefghjk", true},
		"upper case":                  {"agt_0123456789ABCDEFGHJK", false},
		"a letter Crockford left out": {"agt_0123456789abcdefghil", false},
		"another prefix":              {"aky_0123456789abcdefghjk", false},
		"short":                       {"agt_0123456789abcdefghj", false},
		"long":                        {"agt_0123456789abcdefghjkm", false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tc.want, secret.CheckID(secret.PrefixAgent, tc.text))
		})
	}
}

func TestWhatIsMadePassesTheCheck(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		random := rapid.SliceOfN(rapid.Byte(), 256, 256).Draw(t, "random")
		maker := secret.NewMaker(io.MultiReader(bytes.NewReader(random), rand.Reader))
		for prefix, draw := range map[string]func() (secret.Secret, error){
			secret.PrefixAPIKey: maker.APIKey, secret.PrefixRecovery: maker.RecoveryKey, secret.PrefixEmailToken: maker.EmailToken,
		} {
			made, err := draw()
			if err != nil || !secret.Check(prefix, made.Reveal()) {
				t.Fatalf("%s: %q does not pass (%v)", prefix, made.Reveal(), err)
			}
			text := []byte(made.Reveal())
			at := rapid.IntRange(len(prefix), len(text)-1).Draw(t, "at")
			text[at] = rapid.ByteRange('0', 'z').Filter(func(b byte) bool { return b != text[at] }).Draw(t, "other")
			if secret.Check(prefix, string(text)) {
				t.Fatalf("%q passes after a change of one character", text)
			}
		}
	})
}

func TestParseCode(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		text string
		want string
		ok   bool
	}{
		"as mailed":                     {"0123-4567-89AB-CDEF", "0123456789abcdef", true},
		"as typed by a person":          {" o l23 4567 89ab cdef ", "0123456789abcdef", true},
		"without hyphens":               {"0123456789ABCDEF", "0123456789abcdef", true},
		"short":                         {"0123-4567-89AB-CDE", "", false},
		"with a letter that codes lack": {"0123-4567-89AB-CDEU", "", false},
		"far too long":                  {strings.Repeat("-", 100) + "0123456789ABCDEF", "", false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, ok := secret.ParseCode(tc.text)
			require.Equal(t, tc.ok, ok)
			if ok {
				require.Equal(t, tc.want, code.Reveal())
			}
		})
	}
}

func TestMadeCodeParses(t *testing.T) {
	t.Parallel()
	made, err := secret.NewMaker(rand.Reader).RecoveryCode()
	require.NoError(t, err)
	code, ok := secret.ParseCode(made.Reveal())
	require.True(t, ok)
	require.Equal(t, strings.ToLower(strings.ReplaceAll(made.Reveal(), "-", "")), code.Reveal())
}

func FuzzCheck(f *testing.F) {
	f.Add("sk_", "sk_00000000000000000000000"+fixedSum)
	f.Add("ev_", "ev_")
	f.Add("", "")
	f.Fuzz(func(t *testing.T, prefix, text string) {
		secret.ParseCode(text)
		secret.CheckID(prefix, text)
		if secret.Check(prefix, text) && len(text) != len(prefix)+29 && len(text) != len(prefix)+43 {
			t.Errorf("Check(%q, %q) accepts a wrong length", prefix, text)
		}
	})
}

// Worked out with another CRC-32 than Go's.
const fixedSum = "0bcQn6"
