// Package paging makes the cursors that lists hand out, and reads limits.
//
// A cursor is opaque to clients: base64url of a version, the JSON of a place
// in a list, and a MAC that binds it to the route, the account and the epoch
// of the data. Anything else presented as a cursor is refused as
// INVALID_CURSOR (docs/api/conventions.md, "Pages").
package paging

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"chatplatform.io/svckit/fault"
)

// ErrCursor is the refusal of a cursor that this list did not hand out.
var ErrCursor = fault.New(fault.Invalid, "INVALID_CURSOR",
	"cursor: this cursor does not belong to this list; start again without one.").With("field", "cursor")

const (
	version = 1
	macSize = 16
	maxSize = 8192 // characters of a cursor; a longer one is not ours
)

// A Codec makes and reads cursors under one key and one epoch of the data.
type Codec struct {
	key   []byte
	epoch string
}

// NewCodec takes a key that all replicas share and the epoch of the data.
func NewCodec(key []byte, epoch string) *Codec { return &Codec{key: key, epoch: epoch} }

// Encode makes the cursor of a place, which must have a JSON form, in the
// list that route shows to account.
func (c *Codec) Encode(route, account string, place any) (string, error) {
	body, err := json.Marshal(place)
	if err != nil {
		return "", fmt.Errorf("encode the cursor of %s: %w", route, err)
	}
	raw := append([]byte{version}, body...)
	raw = append(raw, c.mac(route, account, raw)...)
	return base64.RawURLEncoding.EncodeToString(raw), nil
}

// Decode reads a cursor into place. It returns ErrCursor for everything that
// Encode did not make for the same route, account and epoch.
func (c *Codec) Decode(route, account, cursor string, place any) error {
	if len(cursor) > maxSize || strings.ContainsAny(cursor, "\r\n") { // line ends, which base64 passes over
		return ErrCursor
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(raw) < 1+macSize || raw[0] != version {
		return ErrCursor
	}
	signed, mac := raw[:len(raw)-macSize], raw[len(raw)-macSize:]
	if !hmac.Equal(mac, c.mac(route, account, signed)) {
		return ErrCursor
	}
	if err := json.Unmarshal(signed[1:], place); err != nil {
		return ErrCursor.Because(err)
	}
	return nil
}

// mac covers each part with its length, so that no two splits of the same
// bytes agree.
func (c *Codec) mac(route, account string, body []byte) []byte {
	h := hmac.New(sha256.New, c.key)
	for _, part := range [][]byte{[]byte(c.epoch), []byte(route), []byte(account), body} {
		_ = binary.Write(h, binary.BigEndian, uint64(len(part))) // a hash never fails
		h.Write(part)
	}
	return h.Sum(nil)[:macSize]
}

// Limit reads a page size: fallback where raw is empty, most where it is
// above most. Zero, negative numbers and anything else are refused.
func Limit(raw string, fallback, most int) (int, error) {
	if raw == "" {
		return fallback, nil
	}
	n, err := strconv.ParseUint(raw, 10, 64)
	if tooLarge(err) {
		return most, nil
	}
	if err != nil || n == 0 {
		return 0, limitFault(most)
	}
	return int(min(n, uint64(most))), nil
}

// Clamp is Limit for a page size in a JSON body; nil where it was left out.
func Clamp(given *int, fallback, most int) (int, error) {
	if given == nil {
		return fallback, nil
	}
	if *given < 1 {
		return 0, limitFault(most)
	}
	return min(*given, most), nil
}

func limitFault(most int) error {
	return fault.Field("limit", "must be a whole number from 1 to %d", most)
}

// tooLarge tells a number that is only too large, which is served as the
// largest page, from one that is no number.
func tooLarge(err error) bool {
	return errors.Is(err, strconv.ErrRange)
}
