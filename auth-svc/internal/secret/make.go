package secret

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
)

// What ids and secrets begin with.
const (
	PrefixAgent      = "agt_"
	PrefixKeyID      = "aky_"
	PrefixRecovery   = "rk_"
	PrefixAPIKey     = "sk_"
	PrefixEmailToken = "ev_"
)

const (
	base62    = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	crockford = "0123456789abcdefghjkmnpqrstvwxyz"

	idLength         = 20 // 100 bits
	keyLength        = 23 // 137 bits
	emailTokenLength = 37 // 220 bits
	codeLength       = 16 // 80 bits
	codeGroup        = 4
	checksumLength   = 6
)

// A Maker makes ids and secrets. It is safe for concurrent use when its source
// of randomness is.
type Maker struct{ random io.Reader }

// NewMaker gives a Maker over random, which is crypto/rand.Reader outside tests.
// Every method fails only when random does.
func NewMaker(random io.Reader) *Maker { return &Maker{random} }

// AgentID is "agt_" and 20 characters of Crockford's base32 in lower case: 100
// random bits.
func (m *Maker) AgentID() (string, error) { return m.id(PrefixAgent) }

// KeyID is "aky_" and 20 characters, as in AgentID.
func (m *Maker) KeyID() (string, error) { return m.id(PrefixKeyID) }

// RecoveryKey is "rk_" and 29 base62 characters: 23 random ones (137 bits) and 6
// of checksum. With an agent id and a colon it has 57 characters, so that
// base64 never breaks the line.
func (m *Maker) RecoveryKey() (Secret, error) { return m.checked(PrefixRecovery, keyLength) }

// APIKey is "sk_" and 29 base62 characters, as in RecoveryKey.
func (m *Maker) APIKey() (Secret, error) { return m.checked(PrefixAPIKey, keyLength) }

// EmailToken is "ev_" and 43 base62 characters: 37 random ones (220 bits) and 6
// of checksum. It needs no escaping in a URL.
func (m *Maker) EmailToken() (Secret, error) {
	return m.checked(PrefixEmailToken, emailTokenLength)
}

// RecoveryCode is 16 characters of Crockford's base32 in upper case (80 bits) in
// four groups, for a person to read and type. Hash the canonical form that
// ParseCode gives, not this one.
func (m *Maker) RecoveryCode() (Secret, error) {
	text, err := m.text(crockford, codeLength)
	if err != nil {
		return Secret{}, err
	}
	text = strings.ToUpper(text)
	var groups []string
	for start := 0; start < codeLength; start += codeGroup {
		groups = append(groups, text[start:start+codeGroup])
	}
	return Secret{strings.Join(groups, "-")}, nil
}

// ParseCode gives the canonical form of a recovery code as a person may have
// typed it: any case, with or without hyphens and spaces, O for 0, I or L for 1.
// It reports whether the text can be a code.
func ParseCode(text string) (Secret, bool) {
	if len(text) > 4*codeLength {
		return Secret{}, false
	}
	code := strings.NewReplacer("-", "", " ", "", "o", "0", "i", "1", "l", "1").Replace(strings.ToLower(text))
	return Secret{code}, len(code) == codeLength && madeOf(crockford, code)
}

// Check reports, without any database, whether text can be a secret that begins
// with prefix: its length, its characters and its checksum are right.
func Check(prefix, text string) bool {
	body, ok := strings.CutPrefix(text, prefix)
	if !ok {
		return false
	}
	random := keyLength
	if prefix == PrefixEmailToken {
		random = emailTokenLength
	}
	if len(body) != random+checksumLength || !madeOf(base62, body) {
		return false
	}
	return body[random:] == checksum(prefix+body[:random])
}

// CheckID reports whether text is an id that begins with prefix.
func CheckID(prefix, text string) bool {
	body, ok := strings.CutPrefix(text, prefix)
	return ok && len(body) == idLength && madeOf(crockford, body)
}

func (m *Maker) id(prefix string) (string, error) {
	text, err := m.text(crockford, idLength)
	if err != nil {
		return "", err
	}
	return prefix + text, nil
}

func (m *Maker) checked(prefix string, length int) (Secret, error) {
	text, err := m.text(base62, length)
	if err != nil {
		return Secret{}, err
	}
	return Secret{prefix + text + checksum(prefix+text)}, nil
}

// text draws characters of the alphabet, each as likely as the others: bytes
// beyond the last whole multiple of its length are thrown away.
func (m *Maker) text(alphabet string, length int) (string, error) {
	const rounds = 100 // two nearly always do
	fair := 256 - 256%len(alphabet)
	text := make([]byte, 0, length)
	buffer := make([]byte, length)
	for range rounds {
		if _, err := io.ReadFull(m.random, buffer); err != nil {
			return "", fmt.Errorf("read random bytes: %w", err)
		}
		for _, b := range buffer {
			if int(b) < fair && len(text) < length {
				text = append(text, alphabet[int(b)%len(alphabet)])
			}
		}
		if len(text) == length {
			return string(text), nil
		}
	}
	return "", errors.New("read random bytes: the source is not random")
}

// checksum is the CRC-32 (IEEE) of text in base62, padded to 6 characters.
func checksum(text string) string {
	sum := crc32.ChecksumIEEE([]byte(text))
	var digits [checksumLength]byte
	for i := checksumLength - 1; i >= 0; i-- {
		digits[i] = base62[sum%uint32(len(base62))]
		sum /= uint32(len(base62))
	}
	return string(digits[:])
}

func madeOf(alphabet, text string) bool {
	for i := range len(text) {
		if strings.IndexByte(alphabet, text[i]) < 0 {
			return false
		}
	}
	return true
}
