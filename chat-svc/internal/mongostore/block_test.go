package mongostore_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"chatplatform.io/chat-svc/internal/chat"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/svckit/fault"
)

func block(blocker, second int, target chat.Target) chat.Block {
	return chat.Block{ID: id.NewBlock(), Blocker: account(blocker), Target: target, CreatedAt: at(second)}
}

func of(n int) chat.Target { return chat.Target{Account: account(n)} }

func TestBlocks(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	group := chat.Target{Conversation: id.NewGroup()}
	ofBob, ofGroup := block(1, 5, of(2)), block(1, 6, group)
	fingerprint := [16]byte{1, 2}
	require.NoError(t, s.InsertBlock(t.Context(), ofBob, "k", fingerprint))
	require.NoError(t, s.InsertBlock(t.Context(), ofGroup, "", [16]byte{}))
	requireConflict(t, s.InsertBlock(t.Context(), block(1, 7, of(2)), "", [16]byte{}))
	requireConflict(t, s.InsertBlock(t.Context(), block(1, 7, of(3)), "k", fingerprint))
	require.NoError(t, s.InsertBlock(t.Context(), block(2, 7, of(1)), "k", fingerprint), "each account has keys of its own")

	barriers := func(n int) []chat.Target {
		found, err := s.Barriers(t.Context(), account(n), "", 10)
		require.NoError(t, err)
		return found
	}
	require.Equal(t, []chat.Target{of(2), group}, barriers(1), "who blocks it, and what it has blocked")
	require.Equal(t, []chat.Target{of(1)}, barriers(2))
	require.Empty(t, barriers(3), "a block that was refused bars nobody")

	found, err := s.Block(t.Context(), account(1), ofGroup.ID)
	require.NoError(t, err)
	require.Equal(t, ofGroup, found)
	_, err = s.Block(t.Context(), account(2), ofGroup.ID)
	require.ErrorIs(t, err, fault.ErrNotFound)
	first, made, err := s.KeyUse(t.Context(), account(1), "k")
	require.NoError(t, err)
	require.Equal(t, fingerprint, first)
	require.Equal(t, ofBob.ID, made)
	_, _, err = s.KeyUse(t.Context(), account(1), "l")
	require.ErrorIs(t, err, fault.ErrNotFound)

	remove := func(n int, b chat.Block) (chat.Block, error) { return s.DeleteBlock(t.Context(), account(n), b.ID) }
	_, err = remove(2, ofBob)
	require.ErrorIs(t, err, fault.ErrNotFound)
	was, err := remove(1, ofBob)
	require.NoError(t, err)
	require.Equal(t, ofBob, was)
	_, err = remove(1, ofBob)
	require.ErrorIs(t, err, fault.ErrNotFound)
	require.Empty(t, barriers(2), "a block and its barrier go together")
	_, err = remove(1, ofGroup)
	require.NoError(t, err)
	require.Equal(t, []chat.Target{of(2)}, barriers(1))
}

func TestListsOfBlocks(t *testing.T) {
	t.Parallel()
	s, commands := open(t)
	for n := range 9 { // three at each of three instants
		require.NoError(t, s.InsertBlock(t.Context(), block(1, n/3, of(10+n)), "", [16]byte{}))
		require.NoError(t, s.InsertBlock(t.Context(), block(10+n, n/3, of(2)), "", [16]byte{}))
	}
	all, err := s.Blocks(t.Context(), account(1), nil, 100)
	require.NoError(t, err)
	require.Len(t, all, 9)
	for limit := 1; limit <= 4; limit++ {
		var walked []chat.Block
		var behind *chat.BlockPosition
		for {
			commands.Reset()
			page, err := s.Blocks(t.Context(), account(1), behind, limit)
			require.NoError(t, err)
			require.Equal(t, 1, commands.Count(), "one query")
			if len(page) == 0 {
				break
			}
			walked = append(walked, page...)
			last := page[len(page)-1]
			behind = &chat.BlockPosition{At: last.CreatedAt, ID: last.ID}
		}
		require.Equal(t, all, walked, "pages of %d make up the list", limit)
	}
	require.Equal(t, at(2), all[0].CreatedAt, "newest first")

	page, err := s.Barriers(t.Context(), account(2), fmt.Sprint(account(12)), 4)
	require.NoError(t, err)
	require.Equal(t, []chat.Target{of(13), of(14), of(15), of(16)}, page)
}
