package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/valyala/fasthttp"
)

const pollers = 64

// emptyPoll is a poll that finds nothing new, answered 304 or, to who names no
// validator, with the same page again. Its yardstick is a bare handler in a
// process of its own that checks the same tokens and has the same bytes.
func emptyPoll() scenario {
	return scenario{name: "P2", env: unlimited(), run: func(ctx context.Context, w *world) ([]row, error) {
		t, err := w.talk(pollers, 1)
		if err != nil {
			return nil, err
		}
		if err := fill(t.people, t.conversations, pageSize); err != nil {
			return nil, err
		}
		bare, err := w.startBarePolls(ctx, t.people[0])
		if err != nil {
			return nil, err
		}
		defer bare.end()
		var rows []row
		for _, asked := range []struct {
			answer string
			status int
		}{{"304", http.StatusNotModified}, {"the same 200", http.StatusOK}} {
			ours, err := polling(w.client, w.server.URL, t.people, asked.status)
			if err != nil {
				return nil, err
			}
			yardstick, err := polling(bare.client, bare.url, t.people, asked.status)
			if err != nil {
				return nil, err
			}
			d, err := w.fight(ctx, bout{workers: pollers, ours: ours, yardstick: yardstick, beside: bare.pid})
			if err != nil {
				return nil, err
			}
			r := row{
				Work: fmt.Sprintf("empty poll, %s, %d at once; yardstick: bare handler, %.3f CPU s per 1,000",
					asked.answer, pollers, d.besidePerThousand.Seconds()),
				Figure: d.perSecond, Unit: "/s", Yardstick: d.yardstick, Ratio: d.ratio, Target: "ratio ≥ 0.7, 0 calls",
			}
			r.cost(d.perThousand)
			r.latency(d.latencies)
			r.Calls = &d.calls
			rows = append(rows, r)
		}
		return rows, nil
	}}
}

const pollPath = "/api/messages?limit=50"

// polling polls a server as each of people, who have all polled before.
func polling(client *fasthttp.HostClient, server string, people []*person, status int) (operation, error) {
	polls := make([]*person, len(people))
	var begins []byte // the newest messages; what follows says where catch-up goes on
	for i, p := range people {
		poll := &person{bearer: p.bearer, server: server, client: client}
		// What has just been said may be told a moment later.
		for range 2 {
			if err := poll.do(http.StatusOK, "GET", pollPath, nil); err != nil {
				return nil, err
			}
		}
		body := poll.resp.Body()
		if begins = bytes.Clone(body[:len(body)/2]); status == http.StatusNotModified {
			poll.req.Header.SetBytesV(fasthttp.HeaderIfNoneMatch, poll.resp.Header.Peek(fasthttp.HeaderETag))
			begins = nil
		}
		polls[i] = poll
	}
	return func(_ context.Context, worker int) error {
		poll := polls[worker]
		if err := poll.do(status, "GET", pollPath, nil); err != nil {
			return err
		}
		if found := poll.resp.Body(); !bytes.HasPrefix(found, begins) {
			return fmt.Errorf("a poll was answered %s", found)
		}
		return nil
	}, nil
}

func hostClient(url string) *fasthttp.HostClient {
	return &fasthttp.HostClient{
		Addr: strings.TrimPrefix(url, "http://"), MaxConns: 4096,
		ReadTimeout: callTimeout, WriteTimeout: callTimeout, NoDefaultUserAgentHeader: true,
	}
}
