package chatsvc_test

import (
	"maps"
	"slices"

	"github.com/anishathalye/porcupine"
)

// What a client does with a conversation.
type act uint8

const (
	sends act = iota
	edits
	deletes
	withdraws
	reads // a page from the database
	polls // a page that may come from memory
	looks // what a page from the database shows of one message
)

// An asked is a request of a conversation.
type asked struct {
	act          act
	conversation string
	text         string // of a send or an edit; no two are the same
	// seq is the number of the message that is changed. A page begins below
	// it; with 0 at the newest.
	seq int64
}

// A heard is the answer. Status is 0 where nobody knows what was done.
type heard struct {
	status   int
	seq      int64  // of the message that was sent
	editedAt string // of an edit
	page     []shown
	// passed says of a look that shows nothing that the page shows a later one.
	passed bool
}

func (h heard) newest() int64 {
	if len(h.page) == 0 {
		return 0
	}
	return h.page[0].Seq
}

// A shown is a message on a page, which has the newest first.
type shown struct {
	Seq      int64  `json:"seq"`
	Content  string `json:"content"`
	EditedAt string `json:"edited_at"` // text sorts as time does
	Deleted  bool   `json:"deleted"`
}

// conversations is the model of the places of a conversation: each is given once,
// one after another, and a page shows none that was not given.
func conversations() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return int64(0) },
		Step: func(is, in, out any) (bool, any) {
			last, heard := is.(int64), out.(heard)
			if in.(asked).act == sends {
				return heard.seq == last+1, last + 1
			}
			return heard.newest() <= last, last
		},
		Partition: partition(func(in asked) any { return in.conversation }),
	}
}

// messages is the model of one message: sent, then edited some times, deleted,
// withdrawn, and looked at all the time.
func messages() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return line{} },
		Step: func(is, in, out any) (bool, any) {
			l := is.(line)
			ok := l.step(in.(asked), out.(heard))
			return ok, l
		},
		Partition: partition(func(in asked) any { return asked{conversation: in.conversation, seq: in.seq} }),
	}
}

func partition(by func(asked) any) func([]porcupine.Operation) [][]porcupine.Operation {
	return func(all []porcupine.Operation) [][]porcupine.Operation {
		parts := map[any][]porcupine.Operation{}
		for _, o := range all {
			key := by(o.Input.(asked))
			parts[key] = append(parts[key], o)
		}
		return slices.Collect(maps.Values(parts))
	}
}

// A line is a message as a sequence of acts leaves it.
type line struct {
	content, editedAt        string
	sent, deleted, withdrawn bool
}

// step does what was asked and tells whether that could have been the answer.
// What cannot be done is answered 404; what was not answered changes nothing
// then.
func (l *line) step(in asked, out heard) bool {
	refused := out.status == 404 || out.status == 0
	switch in.act {
	case sends:
		l.content, l.sent = in.text, true
		return true
	case looks:
		return l.looks(out)
	case edits:
		if l.deleted || l.withdrawn {
			return refused
		}
		if out.editedAt <= l.editedAt { // edits are made in the order of their times
			return false
		}
		l.content, l.editedAt = in.text, out.editedAt
	case deletes:
		if l.withdrawn {
			return refused
		}
		*l = line{sent: l.sent, deleted: true}
	case withdraws:
		*l = line{sent: l.sent, withdrawn: true}
	}
	return l.sent && (out.status == 200 || out.status == 0)
}

func (l *line) looks(out heard) bool {
	if len(out.page) == 0 {
		return l.withdrawn || !l.sent && !out.passed
	}
	m := out.page[0]
	return l.sent && !l.withdrawn && m.Content == l.content && m.EditedAt == l.editedAt && m.Deleted == l.deleted
}
