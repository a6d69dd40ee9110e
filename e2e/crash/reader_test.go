package crash_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// A row is a message in a list.
type row struct {
	place

	Sender  string `json:"sender_id"`
	Content string `json:"content"`
	Deleted bool   `json:"deleted"`
}

type page struct {
	Messages []row  `json:"messages"`
	Cursor   string `json:"cursor"`
	HasMore  bool   `json:"has_more"`
	Next     string `json:"next"`
}

// A reader follows a list by its tokens, on either replica, over all crashes.
type reader struct {
	account string
	list    string // the path
	next    string

	mu   sync.Mutex
	seen map[string]bool // message ids
	last map[string]int64
}

func newReader(account, list string) *reader {
	return &reader{account: account, list: list, seen: map[string]bool{}, last: map[string]int64{}}
}

func (r *reader) String() string { return fmt.Sprintf("%s of %s", r.list, r.account) }

func (r *reader) run(ctx context.Context, in *round, rng *rand.Rand) {
	for ctx.Err() == nil {
		path := r.list + "?limit=100"
		if r.next != "" {
			path += "&wait=2&after=" + url.QueryEscape(r.next)
		}
		a := in.call(ctx, rng.IntN(replicas), request{method: "GET", path: path, account: r.account})
		if a.unknown() {
			await(ctx, time.Duration(1+rng.IntN(50))*time.Millisecond)
			continue
		}
		var got page
		if a.status != http.StatusOK {
			in.fail(fmt.Errorf("read %s: %d %s", r, a.status, a.body))
			return
		}
		if err := a.into(&got); err != nil {
			in.fail(err)
			return
		}
		if r.next == "" && len(got.Messages) > 0 {
			in.fail(fmt.Errorf("%s is not empty before anything was sent", r))
			return
		}
		if err := r.take(got); err != nil {
			in.fail(err)
			return
		}
	}
}

// take notes what a page tells, oldest first. A message may be told again, but
// what is new in a conversation stands behind all that was told of it.
func (r *reader) take(p page) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next = p.Next
	for _, m := range p.Messages {
		if r.seen[m.ID] {
			continue
		}
		if last := r.last[m.Conversation]; m.Seq <= last {
			return fmt.Errorf("%s told number %d of %s after number %d", r, m.Seq, m.Conversation, last)
		}
		r.seen[m.ID], r.last[m.Conversation] = true, m.Seq
	}
	return nil
}

// begun tells that it has a token to go on from.
func (r *reader) begun() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next == "" {
		return fmt.Errorf("%s was not read yet", r)
	}
	return nil
}

// told counts the messages that it was told.
func (r *reader) told() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.seen)
}

// follows tells whether it is to be told of a conversation of its account.
func (r *reader) follows(conversation string) bool {
	return r.list == "/api/messages" || strings.Contains(r.list, conversation)
}

// missed tells what it was not told.
func (r *reader) missed(rows []row) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	missed := slices.DeleteFunc(slices.Clone(rows), func(m row) bool { return r.seen[m.ID] })
	if len(missed) > 0 {
		return fmt.Errorf("%s was not told of %d messages, the first one number %d of %s", r, len(missed), missed[0].Seq, missed[0].Conversation)
	}
	return nil
}
