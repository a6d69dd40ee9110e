// Package id makes and reads the identifiers of conversations, messages,
// accounts and blocks. Clients treat them as opaque; docs/api/conventions.md describes
// them.
package id

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"math"
	"strings"

	"github.com/google/uuid"
)

// ErrMalformed says that a text is not an id of the kind asked for. In a path
// that means "not found", in a body it is the client's mistake: the caller
// knows which.
var ErrMalformed = errors.New("malformed id")

const (
	accountPrefix      = "agt_"
	conversationPrefix = "conv_"
	messagePrefix      = "msg_"
	blockPrefix        = "blk_"

	textLength = 20
	// AccountSize is the length of an account's id in bytes.
	AccountSize = len(accountPrefix) + textLength // of accounts and blocks: 100 bits
	placeSize   = 24
)

// Crockford's alphabet in lower case (https://www.crockford.com/base32.html);
// of its decoding rules none is used: an id is spelt in one way only.
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

// An Account is the id of an account: "agt_" and 20 characters of Crockford's
// base32 in lower case.
type Account string

// ParseAccount reads an account id.
func ParseAccount(s string) (Account, error) {
	text, err := parseText(accountPrefix, s)
	return Account(text), err
}

// A Block is the id of a block: "blk_" and 20 characters, as in an account's.
type Block string

// NewBlock makes the id of a block: 100 random bits.
func NewBlock() Block {
	var b [textLength]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	for i := range b {
		b[i] = alphabet[b[i]%byte(len(alphabet))] // 32 letters: each is equally likely
	}
	return Block(blockPrefix + string(b[:]))
}

// ParseBlock reads the id of a block.
func ParseBlock(s string) (Block, error) {
	text, err := parseText(blockPrefix, s)
	return Block(text), err
}

func parseText(prefix, s string) (string, error) {
	rest, ok := strings.CutPrefix(s, prefix)
	if !ok || len(rest) != textLength {
		return "", ErrMalformed
	}
	for i := range len(rest) {
		if strings.IndexByte(alphabet, rest[i]) < 0 {
			return "", ErrMalformed
		}
	}
	// The text may be part of a request's buffer, the id outlives it.
	return strings.Clone(s), nil
}

// A Conversation is the id of a conversation: a UUID, written with the prefix
// "conv_".
type Conversation uuid.UUID

// ParseConversation reads a conversation id in its one spelling: lower case,
// with hyphens.
func ParseConversation(s string) (Conversation, error) {
	rest, ok := strings.CutPrefix(s, conversationPrefix)
	if !ok {
		return Conversation{}, ErrMalformed
	}
	u, err := uuid.Parse(rest)
	if err != nil || u.String() != rest {
		return Conversation{}, ErrMalformed
	}
	return Conversation(u), nil
}

// NewGroup makes the id of a group: a random UUID (version 4, RFC 9562).
func NewGroup() Conversation { return Conversation(uuid.New()) }

// Direct makes the id of the direct conversation of two accounts, the same
// whichever comes first: a UUID of version 8 (RFC 9562) made by HMAC-SHA-256
// of the sorted pair under key, so that two racing creators meet in one
// document and nobody without the key can compute who talks to whom.
func Direct(key []byte, a, b Account) Conversation {
	if b < a {
		a, b = b, a
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(a))
	mac.Write([]byte{0})
	mac.Write([]byte(b))
	var c Conversation
	copy(c[:], mac.Sum(nil))
	c[6] = c[6]&0x0f | 0x80
	c[8] = c[8]&0x3f | 0x80
	return c
}

// IsDirect tells the id of a direct conversation from that of a group.
func (c Conversation) IsDirect() bool { return c[6]>>4 == 8 }

// String gives the id as clients see it.
func (c Conversation) String() string { return conversationPrefix + c.Bare() }

// Bare gives the id without its prefix, as the RPC family writes it: a UUID.
func (c Conversation) Bare() string { return uuid.UUID(c).String() }

// ParseBareConversation reads what Conversation.Bare gives, in capital letters
// too.
func ParseBareConversation(s string) (Conversation, error) {
	return ParseConversation(conversationPrefix + strings.ToLower(s))
}

// MarshalText implements encoding.TextMarshaler.
func (c Conversation) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (c *Conversation) UnmarshalText(text []byte) (err error) {
	*c, err = ParseConversation(string(text))
	return err
}

// A Message is the id of a message, which is its place: the conversation and
// the number in it, from 1. It is written as "msg_" and 39 characters of
// Crockford's base32 in lower case.
type Message struct {
	Conversation Conversation
	Seq          int64
}

var messageEncoding = base32.NewEncoding(alphabet).WithPadding(base32.NoPadding) //nolint:gochecknoglobals // a constant table

// ParseMessage reads a message id in its one spelling.
func ParseMessage(s string) (Message, error) {
	rest, ok := strings.CutPrefix(s, messagePrefix)
	if !ok || len(rest) != messageEncoding.EncodedLen(placeSize) {
		return Message{}, ErrMalformed
	}
	b, err := messageEncoding.DecodeString(rest)
	// The last character carries three bits that no place has.
	if err != nil || messageEncoding.EncodeToString(b) != rest {
		return Message{}, ErrMalformed
	}
	return FromPlace(b)
}

// String gives the id as clients see it.
func (m Message) String() string { return messagePrefix + m.Bare() }

// Bare gives the id without its prefix, as the RPC family writes it.
func (m Message) Bare() string { return messageEncoding.EncodeToString(m.Place()) }

// ParseBareMessage reads what Message.Bare gives.
func ParseBareMessage(s string) (Message, error) { return ParseMessage(messagePrefix + s) }

// Place gives the 24 bytes under which the message is stored: the
// conversation's 16 and the number's 8, big-endian.
func (m Message) Place() []byte {
	b := make([]byte, 0, placeSize)
	b = append(b, m.Conversation[:]...)
	return binary.BigEndian.AppendUint64(b, uint64(m.Seq))
}

// FromPlace reads what Place gives.
func FromPlace(b []byte) (Message, error) {
	if len(b) != placeSize {
		return Message{}, ErrMalformed
	}
	seq := binary.BigEndian.Uint64(b[16:])
	if seq == 0 || seq > math.MaxInt64 {
		return Message{}, ErrMalformed
	}
	return Message{Conversation: Conversation(b[:16]), Seq: int64(seq)}, nil
}
