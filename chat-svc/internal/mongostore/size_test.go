package mongostore_test

import (
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"

	"chatplatform.io/chat-svc/internal/chat"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/mongostore"
	"chatplatform.io/chat-svc/internal/sequence"
	"chatplatform.io/svckit/mongodb"
	"chatplatform.io/svckit/svctest"
)

// dataModel is the page that states what is measured here.
const dataModel = "../../../docs/data-model.md"

// key is as long as a UUID is written.
const key = "0f8f3a52-6c1d-4d0e-9a77-2b7d5f0c9e11"

func said(c id.Conversation, seq int64) sequence.Message {
	return row(c, seq, strings.Repeat("x", 100))
}

// size is the length of the one document, in bytes of BSON.
func size(t *testing.T, db *mongodb.DB, collection string, which bson.D) int {
	t.Helper()
	raw, err := db.Collection(collection).FindOne(t.Context(), which).Raw()
	require.NoError(t, err)
	return len(raw)
}

// The bytes of each kind of document are what docs/data-model.md says; the
// test prints the table.
func TestSizesOfDocuments(t *testing.T) {
	t.Parallel()
	db, _ := svctest.Database(t)
	require.NoError(t, db.Migrate(t.Context(), mongostore.Schema()))
	s := mongostore.New(db)
	c := chat.Conversation{ID: id.NewGroup(), Type: chat.Group, Name: "Twenty characters ok", Creator: account(1), MemberCount: 2, CreatedAt: at(0), UpdatedAt: at(0)}
	require.NoError(t, s.InsertConversation(t.Context(), c, ownerAnd(2), false))
	run := []sequence.Message{said(c.ID, 1), said(c.ID, 2), said(c.ID, 3), said(c.ID, 4), said(c.ID, 5), said(c.ID, 6)}
	for n := 1; n < len(run); n++ {
		run[n].Key = fmt.Sprint(key[:len(key)-1], n)
	}
	run[2].Body.InReplyTo, run[2].Body.Mention = 1, []id.Account{account(1), account(2), account(3)}
	session, err := s.Begin()
	require.NoError(t, err)
	defer session.End()
	outcome, err := session.Insert(t.Context(), run)
	require.NoError(t, err)
	require.Equal(t, sequence.Outcome{Stored: len(run)}, outcome)
	require.NoError(t, s.EditMessage(t.Context(), run[3], run[3].Body.Content, at(10)))
	require.NoError(t, remove(t, s, run[4].ID, 1))
	require.NoError(t, s.WithdrawMessage(t.Context(), run[5].ID))
	_, _, err = s.InsertClaim(t.Context(), chat.Claim{Account: account(1), Key: key, Conversation: c.ID, StartedAt: at(0)})
	require.NoError(t, err)
	require.NoError(t, s.TellAction(t.Context(), c.ID, account(1), "typing", at(0)))

	of := func(seq int) bson.D { return bson.D{{Key: "s", Value: seq}} }
	second := bson.D{{Key: "a", Value: account(2)}}
	page, err := os.ReadFile(dataModel)
	require.NoError(t, err)
	for _, kind := range []struct {
		name, collection string
		which            bson.D
	}{
		{"a message of 100 characters", "messages", of(1)},
		{"the same, sent with a key of 36 characters", "messages", of(2)},
		{"the same, a reply that mentions three", "messages", of(3)},
		{"with a key, edited", "messages", of(4)},
		{"with a key, deleted", "messages", of(5)},
		{"with a key, withdrawn", "messages", of(6)},
		{"a group with a name of 20 characters", "conversations", bson.D{}},
		{"a member: its rights", "members", second},
		{"a member: its place in its own list", "memberships", second},
		{"the claim of a key of 36 characters", "claims", bson.D{}},
		{"somebody is typing", "ephemeral", bson.D{}},
	} {
		line := fmt.Sprintf("| %s | `%s` | %d |", kind.name, kind.collection, size(t, db, kind.collection, kind.which))
		t.Log(line)
		require.Contains(t, string(page), line, "measured, and not what %s states", dataModel)
	}
}

// Each index costs no more than docs/data-model.md says, in bytes per entry,
// as the database counts them over 10,000 messages and 1,000 members; the test
// prints what it counted.
func TestSizesOfIndexes(t *testing.T) {
	t.Parallel()
	db, _ := svctest.Database(t)
	require.NoError(t, db.Migrate(t.Context(), mongostore.Schema()))
	s := mongostore.New(db)
	c := group(0, "large")
	require.NoError(t, s.InsertConversation(t.Context(), c, ownerAnd(), true))
	for chunk := range 2 {
		var more []chat.Member
		for n := range 500 {
			more = append(more, chat.Member{Account: account(2 + chunk*500 + n), Role: chat.RoleMember, JoinedAt: at(0)})
		}
		require.NoError(t, s.AddMembers(t.Context(), c.ID, more))
	}
	session, err := s.Begin()
	require.NoError(t, err)
	defer session.End()
	for batch := range int64(40) {
		run := make([]sequence.Message, 250)
		for n := range run {
			run[n] = said(c.ID, batch*250+int64(n)+1)
			run[n].Key = fmt.Sprintf("%036d", run[n].ID.Seq)
		}
		outcome, err := session.Insert(t.Context(), run)
		require.NoError(t, err)
		require.Equal(t, sequence.Outcome{Stored: len(run)}, outcome)
	}

	page, err := os.ReadFile(dataModel)
	require.NoError(t, err)
	for collection, rows := range map[string]int{"messages": 10_000, "members": 1_001, "memberships": 1_001} {
		var counted struct {
			Sizes map[string]int `bson:"indexSizes"`
		}
		require.NoError(t, db.RunCommand(t.Context(), bson.D{{Key: "collStats", Value: collection}}).Decode(&counted))
		for index, bytes := range counted.Sizes {
			perEntry := float64(bytes) / float64(rows) // its own count of them may lag
			t.Logf("%s %s: %.0f bytes an entry", collection, index, perEntry)
			var stated float64
			_, after, found := strings.Cut(string(page), fmt.Sprintf("| `%s` | `%s` |", collection, index))
			require.True(t, found, "%s does not state %s of %s", dataModel, index, collection)
			_, err := fmt.Sscanf(after, " %g |", &stated)
			require.NoError(t, err)
			require.LessOrEqual(t, math.Round(perEntry), stated, "the page states whole bytes")
		}
	}
}
