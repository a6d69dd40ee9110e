package main

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"

	"github.com/valyala/fasthttp"
	"golang.org/x/sync/errgroup"
)

// unlimited are settings under which no quota of chat-svc is met.
func unlimited() []string {
	return []string{"SENDS_PER_MINUTE=1000000000", "SEND_BURST=1000000000", "POLL_BURST=1000000000",
		"CREATION_BURST=1000000000", "CONVERSATIONS_PER_ACCOUNT=1000000"}
}

// A person is an account with a token and a request of its own, whose memory is
// used again: a generator that shares the processors with what it measures has
// to be cheap. One goroutine at a time uses it.
type person struct {
	id, bearer string

	server string
	client *fasthttp.HostClient
	req    fasthttp.Request
	resp   fasthttp.Response
	path   string // of req
	body   []byte
}

// people registers agents and gets each a token.
func (w *world) people(count int) ([]*person, error) {
	all := make([]*person, count)
	holders, err := w.keyHolders(count)
	if err != nil {
		return nil, err
	}
	for i, holder := range holders {
		token, err := w.token(holder)
		if err != nil {
			return nil, err
		}
		all[i] = &person{id: holder.id, bearer: "Bearer " + token, server: w.server.URL, client: w.client}
	}
	return all, nil
}

// do makes a request; the answer is in p.resp until the next one. Any status
// but the one wanted is an error.
func (p *person) do(status int, method, path string, body []byte) error {
	if p.path != path { // nobody asks one path in two ways
		p.path = path
		p.req.Reset()
		p.req.SetRequestURI(p.server + path)
		p.req.Header.SetMethod(method)
		p.req.Header.SetContentType("application/json")
		p.req.Header.Set(fasthttp.HeaderAuthorization, p.bearer)
	}
	p.req.SetBodyRaw(body)
	if err := p.client.DoTimeout(&p.req, &p.resp, callTimeout); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if p.resp.StatusCode() != status {
		return fmt.Errorf("%s %s answered %d: %s", method, path, p.resp.StatusCode(), p.resp.Body())
	}
	return nil
}

// group makes a group of p and others and returns its id.
func (w *world) group(p *person, others ...*person) (string, error) {
	members := make([]string, len(others))
	for i, other := range others {
		members[i] = other.id
	}
	var made struct {
		ConversationID string `json:"conversation_id"`
	}
	err := w.call(http.StatusCreated, "POST", "/api/conversations", p.bearer,
		map[string]any{"type": "group", "members": members}, &made)
	return made.ConversationID, err
}

// groups makes many of them.
func (w *world) groups(count int, p *person, others ...*person) ([]string, error) {
	ids := make([]string, count)
	var group errgroup.Group
	group.SetLimit(16)
	for i := range ids {
		group.Go(func() (err error) {
			ids[i], err = w.group(p, others...)
			return err
		})
	}
	return ids, group.Wait()
}

// fill has people say so many things in each conversation, together.
func fill(people []*person, conversations []string, each int) error {
	var group errgroup.Group
	for i, p := range people {
		group.Go(func() error {
			for n := i; n < each*len(conversations); n += len(people) {
				if _, err := p.say(conversations[n%len(conversations)], "message number "+strconv.Itoa(n)+" of many"); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// say sends a message and gives its number. text needs no escapes in JSON.
func (p *person) say(conversation, text string) (seq int64, err error) {
	p.body = append(p.body[:0], `{"conversation_id":"`...)
	p.body = append(p.body, conversation...)
	p.body = append(p.body, `","content":"`...)
	p.body = append(p.body, text...)
	p.body = append(p.body, `"}`...)
	if err := p.do(http.StatusCreated, "POST", "/api/messages", p.body); err != nil {
		return 0, err
	}
	seq, err = strconv.ParseInt(string(field(p.resp.Body(), `"seq":`, '}')), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read the number in %s: %w", p.resp.Body(), err)
	}
	return seq, nil
}

// field is what stands between a beginning and an end.
func field(body []byte, begin string, end byte) []byte {
	_, rest, _ := bytes.Cut(body, []byte(begin))
	value, _, _ := bytes.Cut(rest, []byte{end})
	return value
}
