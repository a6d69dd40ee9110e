package chatsvc_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"

	"chatplatform.io/svckit/svctest"
)

// race does everything at once and gives the answers in the order of acts.
func race(acts ...func() *svctest.Response) []*svctest.Response {
	answers := make([]*svctest.Response, len(acts))
	var all sync.WaitGroup
	for n, act := range acts {
		all.Go(func() { answers[n] = act() })
	}
	all.Wait()
	return answers
}

// Two requests that race are decided one after the other.
func TestRacingEdits(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	conversation := p.ann.group(t, p.bob.id)
	editor := func(m *svctest.Response, text string) func() *svctest.Response {
		return func() *svctest.Response { return p.ann.do(t, "PUT", messagePath(m), object{"content": text}) }
	}
	remover := func(m *svctest.Response, body any) func() *svctest.Response {
		return func() *svctest.Response { return p.ann.do(t, "DELETE", messagePath(m), body) }
	}
	for range 10 {
		sent := p.ann.say(t, conversation, "Hello!")
		var editors []func() *svctest.Response
		for n := range 6 {
			editors = append(editors, editor(sent, fmt.Sprint(n)))
		}
		latest := ""
		texts := map[string]string{} // by time
		for _, answer := range race(editors...) {
			require.Equal(t, 200, answer.Status, "%s", answer.Body)
			texts[answer.Text("edited_at")] = answer.Text("content")
			latest = max(latest, answer.Text("edited_at"))
		}
		require.Len(t, texts, 6, "each edit followed another")
		top := p.bob.history(t, conversation)
		require.Equal(t, latest, top.Text("messages.0.edited_at"), "the last one stands")
		require.Equal(t, texts[latest], top.Text("messages.0.content"))

		answers := race(editor(sent, "a"), editor(sent, "b"), remover(sent, nil), remover(sent, object{}))
		require.Contains(t, []int{200, 404}, answers[0].Status)
		require.Contains(t, []int{200, 404}, answers[1].Status)
		require.Equal(t, []int{200, 200}, []int{answers[2].Status, answers[3].Status})
		top = p.bob.history(t, conversation)
		require.Nil(t, top.Get("messages.0.content"), "no edit brings it back")
		require.Equal(t, true, top.Get("messages.0.deleted"))

		gone := p.ann.say(t, conversation, "Hello!")
		answers = race(editor(gone, "a"), remover(gone, withdrawal()), remover(gone, nil), remover(gone, withdrawal()), editor(gone, "b"))
		require.Contains(t, []int{200, 404}, answers[0].Status)
		require.Contains(t, []int{200, 404}, answers[2].Status)
		require.Equal(t, []int{200, 200}, []int{answers[1].Status, answers[3].Status})
		require.NotEqual(t, gone.Text("message_id"), p.bob.history(t, conversation).Text("messages.0.message_id"))
	}
	rows := p.collection(t, "messages").all(t, bson.D{{Key: "withdrawn", Value: true}})
	require.Len(t, rows, 10)
	for _, row := range rows {
		require.Equal(t, []string{"_id", "c", "created_at", "mark", "s", "sender", "withdrawn"}, row.fields(t), "nothing of what was said is left")
	}
}
