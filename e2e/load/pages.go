package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
)

const (
	pageSize     = 50
	historyTotal = 2000 // messages of the conversation whose pages are read
	joined       = 1000 // conversations of the account that reads all of them
	lively       = 20   // of these are active
)

// A message is what the measurements look at in a page.
type message struct {
	ID      string `json:"message_id"`
	Seq     int64  `json:"seq"`
	Content string `json:"content"`
}

type page struct {
	Messages []message `json:"messages"`
	Cursor   string    `json:"cursor"`
	HasMore  bool      `json:"has_more"`
}

func messagesPath(conversation string, limit int, cursor string) string {
	return fmt.Sprintf("/api/conversations/%s/messages?limit=%d&cursor=%s", conversation, limit, cursor)
}

// page reads one page of a conversation.
func (p *person) page(conversation string, limit int, cursor string) (found page, err error) {
	if err := p.do(http.StatusOK, "GET", messagesPath(conversation, limit, cursor), nil); err != nil {
		return found, err
	}
	return found, json.Unmarshal(p.resp.Body(), &found)
}

// walk reads a whole conversation, newest first.
func (p *person) walk(conversation string) (all []message, err error) {
	const largest = 100
	for cursor := ""; ; {
		found, err := p.page(conversation, largest, cursor)
		if err != nil {
			return nil, err
		}
		all = append(all, found.Messages...)
		if !found.HasMore {
			return all, nil
		}
		cursor = found.Cursor
	}
}

// history is a page of a conversation that is in nobody's memory. Its yardstick
// is the bare driver's find of as many messages.
func history() scenario {
	return scenario{name: "P3", env: unlimited(), run: func(ctx context.Context, w *world) ([]row, error) {
		pages, find, end, err := w.historyPages(ctx)
		if err != nil {
			return nil, err
		}
		defer end()
		var rows []row
		for _, workers := range []int{1, 8} {
			d, err := w.fight(ctx, bout{workers: workers, ours: pages, yardstick: find})
			if err != nil {
				return nil, err
			}
			r := row{
				Work:   fmt.Sprintf("history page of %d, %d at once; yardstick: bare find", pageSize, workers),
				Figure: d.perSecond, Unit: "/s", Yardstick: d.yardstick, Ratio: d.ratio, Target: "ratio ≥ 0.8, 1 call",
			}
			r.cost(d.perThousand)
			r.latency(d.latencies)
			r.Calls = &d.calls
			rows = append(rows, r)
		}
		return rows, nil
	}}
}

// historyPages fills a conversation and reads its pages, by cursor: each costs a
// query, as only first pages are kept.
func (w *world) historyPages(ctx context.Context) (pages, find operation, end func(), err error) {
	people, err := w.people(16)
	if err != nil {
		return nil, nil, nil, err
	}
	conversation, err := w.group(people[0], people[1:]...)
	if err != nil {
		return nil, nil, nil, err
	}
	if err := fill(people, []string{conversation}, historyTotal); err != nil {
		return nil, nil, nil, err
	}
	var paths []string
	for cursor := ""; ; {
		found, err := people[0].page(conversation, pageSize, cursor)
		if err != nil {
			return nil, nil, nil, err
		}
		if !found.HasMore {
			break
		}
		cursor = found.Cursor
		paths = append(paths, messagesPath(conversation, pageSize, cursor))
	}
	// A cursor is its account's own, so each worker reads by a request of its own.
	readers := make([]*person, len(people))
	for i := range readers {
		readers[i] = &person{bearer: people[0].bearer, server: people[0].server, client: people[0].client}
	}
	var turns atomic.Int64
	find, end, err = w.bareFind(ctx, conversation, historyTotal, pageSize)
	return func(_ context.Context, worker int) error {
		reader := readers[worker]
		if err := reader.do(http.StatusOK, "GET", paths[turns.Add(1)%int64(len(paths))], nil); err != nil {
			return err
		}
		return counted(reader.resp.Body(), pageSize)
	}, find, end, err
}

func counted(body []byte, want int) error {
	if found := bytes.Count(body, []byte(`"message_id"`)); found != want {
		return fmt.Errorf("a page has %d messages, not %d", found, want)
	}
	return nil
}

// timeline is the first page over all conversations of an account that is in
// many, after somebody said something. Its yardstick is a page of one of them.
func timeline() scenario {
	return scenario{name: "P3b", env: unlimited(), run: func(ctx context.Context, w *world) ([]row, error) {
		pages, _, end, err := w.historyPages(ctx)
		if err != nil {
			return nil, err
		}
		defer end()
		people, err := w.people(2)
		if err != nil {
			return nil, err
		}
		ids, err := w.groups(joined, people[0], people[1])
		if err != nil {
			return nil, err
		}
		if err := errors.Join(fill(people[:1], ids, 1), fill(people, ids[:lively], pageSize)); err != nil {
			return nil, err
		}
		said := 0
		d, err := w.fight(ctx, bout{
			workers: 1,
			before: func(context.Context, int) error {
				said++
				_, err := people[1].say(ids[said%lively], "something new")
				return err
			},
			ours: func(context.Context, int) error {
				if err := people[0].do(http.StatusOK, "GET", fmt.Sprintf("/api/messages?limit=%d", pageSize), nil); err != nil {
					return err
				}
				return counted(people[0].resp.Body(), pageSize)
			},
			yardstick: pages,
		})
		if err != nil {
			return nil, err
		}
		r := row{
			Work: fmt.Sprintf("page of %d over %d conversations, %d active, p50, each after a send; yardstick: page of one, after a send",
				pageSize, joined, lively),
			Figure: d.p50, Unit: "µs", Yardstick: d.yardstickP50, Ratio: d.slower, Target: "ratio ≤ 3",
		}
		r.latency(d.latencies)
		r.Calls = &d.calls
		return []row{r}, nil
	}}
}
