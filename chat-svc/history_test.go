package chatsvc_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"

	"chatplatform.io/svckit/svctest"
)

// A history is what clients of a conversation asked of several servers, what
// they heard, and when. Acts are those of its owner; each page from the database is
// the first one that its account reads on its server, or one by cursor.
type history struct {
	installation
	conversation string
	owner        string // token
	doors        []string
	http         *http.Client
	begun        time.Time

	mu   sync.Mutex
	all  []porcupine.Operation
	sent []sentMessage
}

type sentMessage struct {
	ID  string `json:"message_id"`
	Seq int64  `json:"seq"`
}

// ask makes a request on a server; status 0 where there is no answer or the
// server does not know either.
func (h *history) ask(t *testing.T, server int, token, method, path string, body, into any) (status int) {
	raw, err := json.Marshal(body)
	require.NoError(t, err)
	request, err := http.NewRequestWithContext(t.Context(), method, h.doors[server]+path, bytes.NewReader(raw))
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/json")
	answer, err := h.http.Do(request)
	if err != nil {
		return 0
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode == http.StatusServiceUnavailable || json.NewDecoder(answer.Body).Decode(into) != nil {
		return 0
	}
	return answer.StatusCode
}

// record notes an act that is done by do; one that says nothing is left out.
func (h *history) record(in asked, do func() (out heard, ok bool)) {
	in.conversation = h.conversation
	call := time.Since(h.begun)
	out, ok := do()
	if !ok {
		return
	}
	done := porcupine.Operation{Input: in, Output: out, Call: int64(call), Return: int64(time.Since(h.begun))}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, done)
}

// send tries under one key, on either server, until it is acknowledged; now
// and then it gives up.
func (h *history) send(t *testing.T, text string) {
	h.record(asked{act: sends, text: text}, func() (heard, bool) {
		for {
			var sent sentMessage
			status := h.ask(t, rand.IntN(len(h.doors)), h.owner, "POST", "/api/messages",
				object{"conversation_id": h.conversation, "content": text, "client_msg_id": text}, &sent)
			if status != 0 {
				require.Equal(t, 201, status, "send %s", text)
				h.mu.Lock()
				defer h.mu.Unlock()
				h.sent = append(h.sent, sent)
				return heard{status: status, seq: sent.Seq}, true
			}
			if rand.IntN(4) == 0 {
				return heard{}, true
			}
		}
	})
}

// some picks a message that was acknowledged; there is one.
func (h *history) some() sentMessage {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sent[rand.IntN(len(h.sent))]
}

// firm is how many of the servers always reach the database: the first ones.
// Only they are asked for changes. Where the connection to the database breaks,
// the driver asks for a change again; if the first one is still under way, the
// tests' database may do both, each as if it were alone.
const firm = 2

// change does something to a message that is known, once.
func (h *history) change(t *testing.T, act act, text string) {
	m := h.some()
	method, body := "DELETE", object{}
	switch act {
	case edits:
		method, body = "PUT", object{"content": text}
	case withdraws:
		body = withdrawal()
	}
	in := asked{act: act, seq: m.Seq}
	if act == edits {
		in.text = text
	}
	h.record(in, func() (heard, bool) {
		var edited shown
		status := h.ask(t, rand.IntN(firm), h.owner, method, "/api/messages/"+m.ID, body, &edited)
		return heard{status: status, editedAt: edited.EditedAt}, true
	})
}

type historyPage struct {
	Messages []shown `json:"messages"`
	Cursor   string  `json:"cursor"`
}

// read records a page of the whole conversation, or of what stands below a
// number. One query reads it, so it shows one moment; smaller pages, which may
// read past withdrawn messages by more, promise that of each message alone.
func (h *history) read(t *testing.T, act act, server int, token string, below int64, cursor string) (page []shown, ok bool) {
	h.record(asked{act: act, seq: below}, func() (heard, bool) {
		page, _, ok = h.page(t, server, token, 100, cursor)
		return heard{status: 200, page: page}, ok
	})
	return page, ok
}

func (h *history) page(t *testing.T, server int, token string, limit int, cursor string) (page []shown, next string, ok bool) {
	var got historyPage
	status := h.ask(t, server, token, "GET", fmt.Sprintf("/api/conversations/%s/messages?limit=%d&cursor=%s", h.conversation, limit, cursor), nil, &got)
	for i, m := range got.Messages {
		if m.Deleted { // when it was edited tells of edits whose text nobody sees any more
			got.Messages[i].EditedAt = ""
		}
	}
	return got.Messages, got.Cursor, status == 200
}

// follow polls one server as one account, and reads on by cursor. What it has
// been shown it never loses from sight again.
func (h *history) follow(t *testing.T, n, server, polled int) {
	raw := h.auth.token(t, agent(n))
	var before []shown
	for range polled {
		if page, ok := h.read(t, polls, server, raw, 0, ""); ok {
			require.NoError(t, backwards(before, page))
			before = page
		}
		top, cursor, ok := h.page(t, server, raw, 1+rand.IntN(5), "")
		if ok && cursor != "" {
			h.read(t, reads, server, raw, top[len(top)-1].Seq, cursor)
		}
	}
}

// Servers on one database, the first behind a door that is broken now and then,
// the last with a database that goes away now and then, while many clients
// send, edit, delete, withdraw and read. What they heard is what a conversation
// tells in which one thing happens after another.
func TestHistories(t *testing.T) {
	t.Parallel()
	i := install(t)
	environ := []string{unlimited, "SEND_BURST=100000", "MONGODB_TIMEOUT=2s"}
	uri, database := svctest.NewProxy(t, i.database.URI)
	first := document.Client(t, i.server(t, environ...).Handler())
	second := document.Client(t, i.server(t, environ...).Handler())
	third := document.Client(t, i.server(t, append(environ, "MONGODB_URI="+uri)...).Handler())
	door, wire := svctest.NewProxy(t, first.URL)

	const newcomers, followers = 10, 3
	members := make([]string, newcomers+followers+1)
	for n := range members {
		members[n] = agent(2 + n)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport, Timeout: 20 * time.Second}
	ann := i.as(t, first, 1)
	var histories []*history
	for range 3 {
		histories = append(histories, &history{
			installation: i, conversation: ann.group(t, members...), owner: ann.token,
			doors: []string{door, second.URL, third.URL}, http: client, begun: time.Now(),
		})
	}
	var working sync.WaitGroup
	for _, h := range histories {
		h.start(t, &working, newcomers, followers)
	}
	done := make(chan struct{})
	go func() { working.Wait(); close(done) }()
	breakAgain(t, done, histories, wire, database)

	var all []porcupine.Operation
	end := map[string][]shown{}
	for _, h := range histories {
		last := h.auth.token(t, agent(2+newcomers+followers))
		require.Eventually(t, func() bool {
			page, ok := h.read(t, reads, 1, last, 0, "")
			end[h.conversation] = page
			return ok
		}, 30*time.Second, 10*time.Millisecond)
		all = append(all, h.all...)
	}
	require.NoError(t, explain(all, end))
}

// start lets everybody work on a conversation.
func (h *history) start(t *testing.T, working *sync.WaitGroup, newcomers, followers int) {
	h.send(t, "the first message") // for changes to have one
	for n := range 3 {
		working.Go(func() {
			for m := range 14 {
				h.send(t, fmt.Sprint("message ", m, " of ", n))
			}
		})
	}
	for n, act := range []act{edits, edits, edits, deletes, withdraws} {
		working.Go(func() {
			for m := range 18 {
				h.change(t, act, fmt.Sprint("edit ", m, " of ", n))
			}
		})
	}
	working.Go(func() {
		for n := range newcomers * len(h.doors) { // each is new to every server
			h.read(t, reads, n%len(h.doors), h.auth.token(t, agent(2+n/len(h.doors))), 0, "")
		}
	})
	for n := range followers {
		working.Go(func() { h.follow(t, 2+newcomers+n, n%len(h.doors), 25) })
	}
}

// breakAgain cuts both ways again and again until everybody is done.
func breakAgain(t *testing.T, done <-chan struct{}, histories []*history, ways ...*svctest.Proxy) {
	count := func() (n int) {
		for _, h := range histories {
			h.mu.Lock()
			n += len(h.all)
			h.mu.Unlock()
		}
		return n
	}
	for at := 0; !isClosed(done); at++ {
		enough := count() + 40
		require.Eventually(t, func() bool { return count() >= enough || isClosed(done) }, 60*time.Second, time.Millisecond)
		ways[at%len(ways)].Cut()
		ways[at%len(ways)].Restore()
	}
}
