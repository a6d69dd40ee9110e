package main

import (
	"context"
	"fmt"
	"sync"
)

// A talk is senders in conversations, and what was acknowledged to each.
type talk struct {
	people        []*person
	conversations []string
	sent          [][]acknowledged
	busy          []sync.Mutex // a sender says one thing after another
}

// acknowledged is what a sender was told of one message.
type acknowledged struct {
	conversation int
	seq          int64
	id           string
}

// talk makes groups of which all senders are members.
func (w *world) talk(senders, conversations int) (*talk, error) {
	people, err := w.people(senders)
	if err != nil {
		return nil, err
	}
	ids, err := w.groups(conversations, people[0], people[1:]...)
	return &talk{
		people: people, conversations: ids,
		sent: make([][]acknowledged, senders), busy: make([]sync.Mutex, senders),
	}, err
}

// spoken is in how many conversations a sender speaks, by turns.
const spoken = 4

// at is the conversation of a sender's message; all of them have their senders.
func (t *talk) at(worker, number int) int {
	return (worker + number%spoken*len(t.conversations)/spoken) % len(t.conversations)
}

// content says whose message it is and which.
func content(worker, number int) string {
	return fmt.Sprintf("message %d-%d: the tide is at its highest at noon, and the pilot boards off the outer buoy", worker, number)
}

// send is an operation; the workers of an open loop share the senders.
func (t *talk) send(_ context.Context, worker int) error {
	_, err := t.say(worker)
	return err
}

// say has a sender say the next thing.
func (t *talk) say(worker int) (acknowledged, error) {
	worker %= len(t.people)
	t.busy[worker].Lock()
	defer t.busy[worker].Unlock()
	number := len(t.sent[worker])
	conversation := t.at(worker, number)
	seq, err := t.people[worker].say(t.conversations[conversation], content(worker, number))
	if err != nil {
		return acknowledged{}, err
	}
	said := acknowledged{conversation, seq, string(field(t.people[worker].resp.Body(), `"message_id":"`, '"'))}
	t.sent[worker] = append(t.sent[worker], said)
	return said, nil
}

// check reads every conversation and finds each acknowledged message once, at
// its number, and no number left out.
func (t *talk) check() error {
	stored := make([][]message, len(t.conversations))
	for i, conversation := range t.conversations {
		all, err := t.people[0].walk(conversation)
		if err != nil {
			return err
		}
		for n, m := range all {
			if want := int64(len(all) - n); m.Seq != want {
				return fmt.Errorf("%s has %d where number %d should stand", conversation, m.Seq, want)
			}
		}
		stored[i] = all
	}
	total := 0
	for worker, sent := range t.sent {
		for number, a := range sent {
			all := stored[a.conversation]
			if a.seq < 1 || a.seq > int64(len(all)) {
				return fmt.Errorf("message %s was acknowledged at %d and is not there", a.id, a.seq)
			}
			if m := all[int64(len(all))-a.seq]; m.ID != a.id || m.Content != content(worker, number) {
				return fmt.Errorf("at %d of %s stands %s, not the acknowledged %s", a.seq, t.conversations[a.conversation], m.ID, a.id)
			}
		}
		total += len(sent)
	}
	for _, all := range stored {
		total -= len(all)
	}
	if total != 0 {
		return fmt.Errorf("%d more messages were acknowledged than are stored", total)
	}
	return nil
}
