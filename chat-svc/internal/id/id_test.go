package id_test

import (
	"math"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"chatplatform.io/chat-svc/internal/id"
)

const (
	ann = id.Account("agt_0123456789abcdefghjk")
	bob = id.Account("agt_zzzzzzzzzzzzzzzzzzzz")
)

func TestMessage(t *testing.T) {
	t.Parallel()
	c := id.NewGroup()
	for _, seq := range []int64{1, 2, 255, 256, 1 << 40, math.MaxInt64} {
		m := id.Message{Conversation: c, Seq: seq}
		require.Len(t, m.String(), len("msg_")+39)
		back, err := id.ParseMessage(m.String())
		require.NoError(t, err)
		require.Equal(t, m, back)
	}
	first := id.Message{Conversation: c, Seq: 255}
	second := id.Message{Conversation: c, Seq: 256}
	require.Less(t, first.String(), second.String(), "ids sort as places do")
}

func TestParseMessageRefuses(t *testing.T) {
	t.Parallel()
	good := id.Message{Conversation: id.NewGroup(), Seq: 7}.String()
	for name, text := range map[string]string{
		"nothing":                 "",
		"another kind":            "conv_" + good[4:],
		"too short":               good[:len(good)-1],
		"too long":                good + "0",
		"upper case":              "msg_" + strings.ToUpper(good[4:]),
		"a letter outside":        good[:len(good)-2] + "u0",
		"a second spelling":       good[:len(good)-1] + "1",
		"a line break":            good[:10] + "\n" + good[11:],
		"no number":               "msg_" + strings.Repeat("0", 39),
		"a number beyond 63 bits": "msg_" + strings.Repeat("z", 38) + "r",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := id.ParseMessage(text)
			require.ErrorIs(t, err, id.ErrMalformed)
		})
	}
}

func TestParseConversation(t *testing.T) {
	t.Parallel()
	c := id.NewGroup()
	back, err := id.ParseConversation(c.String())
	require.NoError(t, err)
	require.Equal(t, c, back)
	require.EqualValues(t, 4, uuid.UUID(c).Version())

	bare := uuid.UUID(c).String()
	for name, text := range map[string]string{
		"nothing":         "",
		"no prefix":       bare,
		"only the prefix": "conv_",
		"without hyphens": "conv_" + strings.ReplaceAll(bare, "-", ""),
		"in braces":       "conv_{" + bare + "}",
		"a URN":           "conv_urn:uuid:" + bare,
		"upper case":      "conv_" + "AAAAAAAA" + bare[8:],
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := id.ParseConversation(text)
			require.ErrorIs(t, err, id.ErrMalformed)
		})
	}
}

func TestDirect(t *testing.T) {
	t.Parallel()
	key := []byte("a key of this installation")
	c := id.Direct(key, ann, bob)
	require.Equal(t, c, id.Direct(key, bob, ann), "the order does not matter")
	require.NotEqual(t, c, id.Direct([]byte("another"), ann, bob), "the key does")
	require.True(t, c.IsDirect())
	require.False(t, id.NewGroup().IsDirect())
	require.EqualValues(t, 8, uuid.UUID(c).Version())
	require.Equal(t, uuid.RFC4122, uuid.UUID(c).Variant())
}

func TestParseAccount(t *testing.T) {
	t.Parallel()
	a, err := id.ParseAccount(string(ann))
	require.NoError(t, err)
	require.Equal(t, ann, a)
	for name, text := range map[string]string{
		"nothing":          "",
		"no prefix":        string(ann[4:]),
		"too short":        string(ann[:23]),
		"too long":         string(ann) + "0",
		"a letter outside": "agt_0123456789abcdefghjl",
		"upper case":       "agt_0123456789ABCDEFGHJK",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := id.ParseAccount(text)
			require.ErrorIs(t, err, id.ErrMalformed)
		})
	}
}

// Whatever is accepted is spelt in one way only.
func FuzzParse(f *testing.F) {
	f.Add(string(ann))
	f.Add(id.NewGroup().String())
	f.Add(id.Message{Conversation: id.NewGroup(), Seq: 1}.String())
	f.Fuzz(func(t *testing.T, s string) {
		if a, err := id.ParseAccount(s); err == nil {
			require.Equal(t, s, string(a))
		}
		if c, err := id.ParseConversation(s); err == nil {
			require.Equal(t, s, c.String())
		}
		if m, err := id.ParseMessage(s); err == nil {
			require.Equal(t, s, m.String())
			require.Positive(t, m.Seq)
		}
	})
}
