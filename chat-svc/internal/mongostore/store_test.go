package mongostore_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chatplatform.io/chat-svc/internal/chat"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/mongostore"
	"chatplatform.io/chat-svc/internal/sequence"
	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/svctest"
)

func TestMain(m *testing.M) { os.Exit(svctest.Run(m)) }

func TestSchemaCanBeSharded(t *testing.T) {
	t.Parallel()
	require.NoError(t, mongostore.Schema().Validate())
}

// open gives a store on a fresh database and the record of its commands.
func open(t *testing.T) (*mongostore.Store, *svctest.Commands) {
	t.Helper()
	commands := &svctest.Commands{}
	db, _ := svctest.Database(t, commands.Monitor())
	require.NoError(t, db.Migrate(t.Context(), mongostore.Schema()))
	commands.Reset()
	return mongostore.New(db), commands
}

func account(n int) id.Account { return id.Account(fmt.Sprintf("agt_%020d", n)) }

// at is an instant as documents keep it, far ahead: the database removes claims
// that have expired.
func at(second int) time.Time { return time.Date(2126, 3, 4, 5, 6, second, 7e6, time.UTC) }

func group(second int, name string) chat.Conversation {
	return chat.Conversation{
		ID: id.NewGroup(), Type: chat.Group, Name: name, Creator: account(1), MemberCount: 2,
		Metadata:  chat.Metadata{Description: "of things", Avatar: "a.png"},
		CreatedAt: at(second), UpdatedAt: at(second),
	}
}

func ownerAnd(others ...int) []chat.Member {
	all := []chat.Member{{Account: account(1), Role: chat.RoleOwner, JoinedAt: at(0)}}
	for _, n := range others {
		all = append(all, chat.Member{Account: account(n), Role: chat.RoleMember, JoinedAt: at(1)})
	}
	return all
}

func inserted(t *testing.T, s *mongostore.Store, c chat.Conversation, others ...int) chat.Conversation {
	t.Helper()
	require.NoError(t, s.InsertConversation(t.Context(), c, ownerAnd(others...), false))
	return c
}

// say writes messages one by one, a second apart, and gives the last.
func say(t *testing.T, s *mongostore.Store, c id.Conversation, second int, seqs ...int64) sequence.Message {
	t.Helper()
	session, err := s.Begin()
	require.NoError(t, err)
	defer session.End()
	var last sequence.Message
	for i, seq := range seqs {
		last = row(c, seq, fmt.Sprintf("message %d", seq))
		last.CreatedAt = at(second + i)
		outcome, err := session.Insert(t.Context(), []sequence.Message{last})
		require.NoError(t, err)
		require.Equal(t, sequence.Outcome{Stored: 1}, outcome)
	}
	return last
}

func row(c id.Conversation, seq int64, text string) sequence.Message {
	m := sequence.Message{
		ID: id.Message{Conversation: c, Seq: seq}, Sender: account(1), CreatedAt: at(int(seq)),
		Body: sequence.Body{Type: chat.Text, Content: text},
	}
	copy(m.Mark[:], fmt.Sprint(seq, text))
	return m
}

func requireConflict(t *testing.T, err error) {
	t.Helper()
	require.ErrorIs(t, err, fault.ErrConflict)
}
