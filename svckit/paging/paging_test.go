package paging_test

import (
	"encoding/base64"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/paging"
)

type place struct {
	After string `json:"a"`
	Seq   int64  `json:"s"`
}

func TestCursors(t *testing.T) {
	t.Parallel()
	key := []byte(strings.Repeat("k", 32))
	codec := paging.NewCodec(key, "epoch")
	for _, want := range []place{{}, {"name", 7}, {"ü\x00\"", math.MaxInt64}} {
		cursor, err := codec.Encode("route", "account", want)
		require.NoError(t, err)
		require.Regexp(t, `^[A-Za-z0-9_-]+$`, cursor, "it needs no escaping")
		var got place
		require.NoError(t, paging.NewCodec(key, "epoch").Decode("route", "account", cursor, &got), "any replica reads it")
		require.Equal(t, want, got)
	}
	_, err := codec.Encode("route", "account", func() {})
	require.Error(t, err)
}

func TestCursorsOfOthers(t *testing.T) {
	t.Parallel()
	key := []byte(strings.Repeat("k", 32))
	codec := paging.NewCodec(key, "epoch")
	cursor, err := codec.Encode("route", "account", place{"x", 1})
	require.NoError(t, err)
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	require.NoError(t, err)
	flipped := func(at int) string {
		other := append([]byte{}, raw...)
		other[at] ^= 1
		return base64.RawURLEncoding.EncodeToString(other)
	}
	text, err := codec.Encode("route", "account", "a text")
	require.NoError(t, err)
	tests := map[string]struct {
		codec                  *paging.Codec
		route, account, cursor string
	}{
		"another route":           {codec, "other", "account", cursor},
		"another account":         {codec, "route", "other", cursor},
		"parts shifted":           {codec, "routea", "ccount", cursor},
		"another epoch":           {paging.NewCodec(key, "later"), "route", "account", cursor},
		"another key":             {paging.NewCodec([]byte("other"), "epoch"), "route", "account", cursor},
		"another version":         {codec, "route", "account", flipped(0)},
		"another place":           {codec, "route", "account", flipped(5)},
		"another checksum":        {codec, "route", "account", flipped(len(raw) - 1)},
		"nothing":                 {codec, "route", "account", ""},
		"garbage":                 {codec, "route", "account", "%%%"},
		"padding":                 {codec, "route", "account", cursor + "="},
		"a line end":              {codec, "route", "account", cursor + "\n"},
		"cut short":               {codec, "route", "account", cursor[:8]},
		"too long":                {codec, "route", "account", strings.Repeat("A", 4096)},
		"a place of another kind": {codec, "route", "account", text},
	}
	for outcome, tt := range tests {
		t.Run(outcome, func(t *testing.T) {
			t.Parallel()
			var got place
			err := tt.codec.Decode(tt.route, tt.account, tt.cursor, &got)
			require.ErrorIs(t, err, paging.ErrCursor)
			require.Equal(t, "cursor", fault.Of(err).Details["field"])
		})
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		raw  string
		want int // 0: refused
	}{
		"nothing is the default": {"", 50}, "one": {"1", 1}, "the most": {"100", 100}, "above the most": {"101", 100},
		"above every number": {"99999999999999999999999", 100}, "zero": {"0", 0}, "negative": {"-1", 0}, "a fraction": {"1.5", 0},
		"a word": {"ten", 0}, "a space": {" 1", 0}, "hexadecimal": {"0x10", 0}, "a plus": {"+1", 0}, "an exponent": {"1e2", 0},
	}
	for outcome, tt := range tests {
		got, err := paging.Limit(tt.raw, 50, 100)
		if tt.want == 0 {
			require.ErrorIs(t, err, fault.ErrInvalid, outcome)
			require.Equal(t, "limit", fault.Of(err).Details["field"], outcome)
			continue
		}
		require.NoError(t, err, outcome)
		require.Equal(t, tt.want, got, outcome)
	}
	number := func(n int) *int { return &n }
	for given, want := range map[*int]int{nil: 50, number(1): 1, number(100): 100, number(math.MaxInt): 100} {
		got, err := paging.Clamp(given, 50, 100)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, given := range []int{0, -1, math.MinInt} {
		_, err := paging.Clamp(&given, 50, 100)
		require.ErrorIs(t, err, fault.ErrInvalid)
	}
}

func FuzzDecode(f *testing.F) {
	codec := paging.NewCodec([]byte("key"), "epoch")
	good, err := codec.Encode("route", "account", place{"x", 1})
	require.NoError(f, err)
	for _, seed := range []string{good, good[:10], "", "AQ", strings.Repeat("A", 3000)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, cursor string) {
		var got place
		err := codec.Decode("route", "account", cursor, &got)
		if cursor == good {
			require.NoError(t, err)
			return
		}
		require.ErrorIs(t, err, paging.ErrCursor)
		require.Zero(t, got)
	})
}
