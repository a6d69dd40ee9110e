package chatsvc_test

import (
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"

	"chatplatform.io/auth-svc/accounts"
	chatsvc "chatplatform.io/chat-svc"
	"chatplatform.io/svckit/svctest"
)

// deletes tells that an account was deleted.
func (a *auth) deletes(account, content string) {
	a.tell(accounts.Change{Kind: accounts.AccountDeleted, AccountID: account, Content: content})
}

// departed waits until an account was looked at a number of times.
func (i installation) departed(t *testing.T, account string, looks int) {
	t.Helper()
	departures := svctest.Open(t, i.database).Collection("departures")
	require.Eventually(t, func() bool {
		n, err := departures.CountDocuments(t.Context(), bson.D{{Key: "_id", Value: account}, {Key: "looks", Value: looks}})
		return err == nil && n == 1
	}, 30*time.Second, 10*time.Millisecond)
}

// roles are those of the members as one of them sees them.
func (p person) roles(t *testing.T, group string) map[string]string {
	t.Helper()
	seen := p.want(t, 200, "GET", "/api/conversations/"+group, nil)
	roles := map[string]string{}
	for _, m := range seen.Get("members").([]any) {
		roles[m.(map[string]any)["agent_id"].(string)] = m.(map[string]any)["role"].(string)
	}
	require.EqualValues(t, len(roles), seen.Get("member_count"))
	return roles
}

func TestADeletedOwnerIsFollowed(t *testing.T) {
	t.Parallel()
	p, clock := newStill(t)
	p.auth.life = 24 * time.Hour
	longest, later := agent(12), agent(11)
	join := func(group, who, role string) {
		clock.advance(time.Second)
		p.ann.want(t, 200, "POST", "/api/conversations/"+group+"/members", object{"agent_id": who, "role": role})
	}
	byAdmin := p.ann.group(t, p.bob.id)
	join(byAdmin, longest, "admin")
	join(byAdmin, later, "admin")
	byMember := p.ann.group(t)
	join(byMember, longest, "member")
	join(byMember, p.bob.id, "member")
	atOnce := p.ann.group(t, later, p.bob.id)
	alone := p.ann.group(t)
	bobs := p.bob.group(t, p.ann.id)

	p.auth.deletes(p.ann.id, "keep")
	p.departed(t, p.ann.id, 1)
	require.Equal(t, map[string]string{p.bob.id: "member", longest: "owner", later: "admin"}, p.bob.roles(t, byAdmin), "the admin who joined first")
	require.Equal(t, map[string]string{p.bob.id: "member", longest: "owner"}, p.bob.roles(t, byMember), "without an admin, the member who joined first")
	require.Equal(t, map[string]string{p.bob.id: "owner", later: "member"}, p.bob.roles(t, atOnce), "of those who came together, the first id")
	require.Equal(t, map[string]string{p.bob.id: "owner"}, p.bob.roles(t, bobs), "who owns nothing leaves")
	closed := p.collection(t, "conversations").one(t, bson.D{{Key: "status", Value: "closed"}})
	_, data := bson.Raw(closed).Lookup("_id").Binary()
	require.Equal(t, alone, "conv_"+uuid.UUID(data).String(), "where nobody else is, the group is closed")
	p.bob.want(t, 200, "PUT", "/api/conversations/"+atOnce, object{"name": "Bob's"})
}

// What was said stays, or goes, wherever it was said.
func TestWhatADeletedAccountHasSaid(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		content string
		shown   []string
	}{
		"keep":  {"keep", []string{"bob's", "with a key", "hello"}},
		"erase": {"erase", []string{"bob's"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			said := func(conversation string) {
				p.ann.say(t, conversation, "hello")
				p.ann.say(t, conversation, "with a key", svctest.WithHeader("Idempotency-Key", "k"))
				p.bob.say(t, conversation, "bob's")
			}
			group := p.bob.group(t, p.ann.id)
			said(group)
			left := p.bob.group(t, p.ann.id)
			said(left)
			p.ann.want(t, 200, "POST", "/api/conversations/"+left+"/leave", nil)
			direct := p.ann.want(t, 201, "POST", "/api/messages", object{"recipient_agent_id": p.bob.id, "content": "hello"}).Text("conversation_id")
			p.ann.say(t, direct, "with a key", svctest.WithHeader("Idempotency-Key", "k"))
			p.bob.say(t, direct, "bob's")
			closed := p.bob.group(t, p.ann.id)
			p.ann.say(t, closed, "last words")
			p.bob.want(t, 204, "DELETE", "/api/conversations/"+closed, nil)
			p.ann.want(t, 201, "POST", "/api/blocks", object{"target_id": p.eve.id})

			p.auth.deletes(p.ann.id, tt.content)
			p.departed(t, p.ann.id, 1)
			for _, conversation := range []string{group, left, direct} {
				var shown []string
				for _, m := range p.bob.history(t, conversation).Get("messages").([]any) {
					shown = append(shown, m.(map[string]any)["content"].(string))
				}
				require.Equal(t, tt.shown, shown)
				require.EqualValues(t, 4, p.bob.say(t, conversation, "places stay").Get("seq"))
			}
			require.Equal(t, map[string]string{p.ann.id: "member", p.bob.id: "member"}, p.bob.roles(t, direct), "a direct conversation stays")
			words := p.collection(t, "messages").all(t, bson.D{{Key: "content", Value: "last words"}})
			require.Len(t, words, map[string]int{"keep": 1, "erase": 0}[tt.content], "in a closed group too")
			require.Empty(t, p.collection(t, "blocks").all(t, bson.D{}))
			require.Empty(t, p.collection(t, "barriers").all(t, bson.D{}))
		})
	}
}

// An invitation may have looked the account up just before it was deleted, and
// a replica that does not hear auth-svc may take its token: what comes of it is
// taken back when neither can be any more.
func TestADeletionThatRacesIsCarriedOutAgain(t *testing.T) {
	t.Parallel()
	p, clock := newStill(t)
	group := p.bob.group(t, p.ann.id)
	p.ann.say(t, group, "before")
	p.auth.deletes(p.ann.id, "erase")
	p.departed(t, p.ann.id, 1)
	// The auth-svc of this test still says that it lives.
	p.bob.want(t, 200, "POST", "/api/conversations/"+group+"/members", object{"agent_id": p.ann.id})
	p.row(t, group, 2, "after", clock.Now())
	require.Contains(t, p.bob.roles(t, group), p.ann.id)

	clock.advance(31 * time.Minute)
	p.auth.deletes(nobody(), "keep") // wakes it
	p.departed(t, p.ann.id, 2)
	require.NotContains(t, p.bob.roles(t, group), p.ann.id)
	require.Empty(t, p.collection(t, "messages").all(t, bson.D{{Key: "content", Value: bson.D{{Key: "$exists", Value: true}}}}))

	clock.advance(25 * time.Hour)
	p.auth.deletes(nobody(), "keep")
	require.Eventually(t, func() bool {
		return len(p.collection(t, "departures").all(t, bson.D{{Key: "_id", Value: p.ann.id}})) == 0
	}, 30*time.Second, 10*time.Millisecond, "and then it is over")
	require.Empty(t, p.collection(t, "formers").all(t, bson.D{{Key: "a", Value: p.ann.id}}), "where it was is forgotten")
}

// row writes the row of a message of ann's, as a replica would that does not
// know what happened meanwhile.
func (p place) row(t *testing.T, conversation string, seq int64, content string, at time.Time) {
	t.Helper()
	c := uuid.MustParse(strings.TrimPrefix(conversation, "conv_"))
	_, err := p.collection(t, "messages").InsertOne(t.Context(), bson.D{
		{Key: "_id", Value: binary.BigEndian.AppendUint64(c[:], uint64(seq))}, {Key: "c", Value: bson.Binary{Subtype: 4, Data: c[:]}},
		{Key: "s", Value: seq}, {Key: "sender", Value: p.ann.id}, {Key: "mark", Value: []byte("12345678")},
		{Key: "created_at", Value: at}, {Key: "type", Value: "text"}, {Key: "content", Value: content},
	})
	require.NoError(t, err)
}

// Deletions are read from where the last reader was, whoever it was.
func TestDeletionsOfTheTimeBetween(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.auth.deletes(agent(8), "keep")
	deps, _ := i.logged(t)
	first, err := chatsvc.Open(t.Context(), i.config(t), deps)
	require.NoError(t, err)
	bob := i.as(t, document.Client(t, first.Handler()), 2)
	group := bob.group(t, agent(1), agent(3))
	i.departed(t, agent(8), 1)
	require.NoError(t, first.Close(t.Context()))

	i.auth.deletes(agent(1), "keep")
	second := i.server(t)
	i.departed(t, agent(1), 1)
	bob = i.as(t, document.Client(t, second.Handler()), 2)
	require.NotContains(t, bob.roles(t, group), agent(1))

	// A restored auth-svc begins another feed, which is shorter.
	i.auth.restore()
	i.auth.deletes(agent(3), "keep")
	i.departed(t, agent(3), 1)
	require.Equal(t, map[string]string{bob.id: "owner"}, bob.roles(t, group))
}
