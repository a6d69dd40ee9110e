package chatsvc_test

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"
)

const (
	// staleMost is how far behind a page from memory may be: a second by
	// the server's reckoning, and what a busy machine adds to that.
	staleMost = 5 * time.Second
	// checkMost bounds the search for an order; a history for which none is
	// found in that time is not accepted.
	checkMost = time.Minute
)

// explain tells why what was heard cannot be. There must be an order of
// everything that happened to a conversation in which each act, and what each
// page from the database shows of each message, takes place between its call
// and its return: a page is a look at each of its messages. What a page from
// memory shows may be a little older.
//
// What nobody knows the outcome of happened at any time since its call, or
// never, as the pages tell.
func explain(all []porcupine.Operation, end map[string][]shown) error {
	var places, acts, lines, pages []porcupine.Operation
	for _, o := range all {
		in, out := o.Input.(asked), o.Output.(heard)
		if out.status == 0 {
			was, seen := trace(in, all, end[in.conversation])
			if !seen {
				continue
			}
			out = heard{seq: was.Seq, editedAt: was.EditedAt}
			o.Output, o.Return = out, math.MaxInt64
		}
		switch in.act {
		case polls:
			pages = append(pages, o)
		case reads:
			looked, err := lookedAt(o, heard{page: end[in.conversation]}.newest())
			if err != nil {
				return err
			}
			places, lines = append(places, o), append(lines, looked...)
		case sends:
			places = append(places, o)
			in.seq = out.seq
			o.Input = in
			acts = append(acts, o)
		default:
			acts = append(acts, o)
		}
	}
	if result := porcupine.CheckOperationsTimeout(conversations(), places, checkMost); result != porcupine.Ok {
		return fmt.Errorf("the order of places: %s", result)
	}
	if result := porcupine.CheckOperationsTimeout(messages(), append(lines, acts...), checkMost); result != porcupine.Ok {
		return fmt.Errorf("the order of changes: %s", result)
	}
	for _, p := range pages {
		if err := remembered(p, acts); err != nil {
			return fmt.Errorf("a page from memory: %w", err)
		}
	}
	return nil
}

// lookedAt is what a page shows of each message up to the last one, or does
// not show.
func lookedAt(o porcupine.Operation, last int64) (all []porcupine.Operation, err error) {
	in, out := o.Input.(asked), o.Output.(heard)
	upTo := max(last, out.newest())
	if in.seq > 0 {
		upTo = in.seq - 1
	}
	at := 0
	for seq := upTo; seq > 0; seq-- {
		look := heard{passed: seq < out.newest() || in.seq > 0}
		if at < len(out.page) && out.page[at].Seq == seq {
			look.page = out.page[at : at+1]
			at++
		}
		all = append(all, porcupine.Operation{
			Input:  asked{act: looks, conversation: in.conversation, seq: seq},
			Output: look, Call: o.Call, Return: o.Return,
		})
	}
	if at < len(out.page) {
		return nil, fmt.Errorf("a page below %d out of order: %+v", in.seq, out.page)
	}
	return all, nil
}

// trace finds what an act left on any page, the last one included. What nobody
// ever saw need not have happened.
func trace(in asked, all []porcupine.Operation, end []shown) (was shown, seen bool) {
	if in.act == withdraws {
		return was, !slices.ContainsFunc(end, func(m shown) bool { return m.Seq == in.seq })
	}
	pages := [][]shown{end}
	for _, o := range all {
		if o.Input.(asked).conversation == in.conversation {
			pages = append(pages, o.Output.(heard).page)
		}
	}
	for _, page := range pages {
		at := slices.IndexFunc(page, func(m shown) bool {
			if in.act == deletes {
				return m.Seq == in.seq && m.Deleted
			}
			return m.Content == in.text
		})
		if at >= 0 {
			return page[at], true
		}
	}
	return was, false
}

// A version is how a message was for a while. It came between two instants,
// by which of several acts ever.
type version struct {
	is        shown
	withdrawn bool
	call, ret int64
}

// versions are those of each message, oldest first.
func versions(acts []porcupine.Operation, conversation string) map[int64][]version {
	all := map[int64][]version{}
	for _, o := range acts {
		in, out := o.Input.(asked), o.Output.(heard)
		if in.conversation != conversation || out.status >= 400 {
			continue
		}
		seq := in.seq
		v := version{is: shown{Seq: seq, Content: in.text, EditedAt: out.editedAt}, call: o.Call, ret: o.Return}
		switch in.act {
		case deletes:
			v.is = shown{Seq: seq, Deleted: true}
		case withdraws:
			v.is, v.withdrawn = shown{}, true
		}
		at := slices.IndexFunc(all[seq], func(w version) bool { return w.is == v.is })
		if at < 0 {
			all[seq] = append(all[seq], v)
			continue
		}
		w := &all[seq][at]
		w.call, w.ret = min(w.call, v.call), min(w.ret, v.ret)
	}
	for _, of := range all {
		slices.SortFunc(of, func(a, b version) int {
			return cmp.Or(cmp.Compare(a.order(), b.order()), cmp.Compare(a.is.EditedAt, b.is.EditedAt))
		})
	}
	return all
}

// order is sent and edited first, deleted, withdrawn last.
func (v version) order() int {
	switch {
	case v.withdrawn:
		return 2
	case v.is.Deleted:
		return 1
	}
	return 0
}

// remembered tells what a page from memory shows that no moment between a
// little before its call and its return can explain.
func remembered(p porcupine.Operation, acts []porcupine.Operation) error {
	page := p.Output.(heard).page
	for seq, all := range versions(acts, p.Input.(asked).conversation) {
		is := -1 // the version that is shown; none before the message was sent
		if at := slices.IndexFunc(page, func(m shown) bool { return m.Seq == seq }); at >= 0 {
			is = slices.IndexFunc(all, func(v version) bool { return !v.withdrawn && v.looks(page[at]) })
			if is < 0 {
				return fmt.Errorf("%+v never was", page[at])
			}
		} else if last := len(all) - 1; all[last].withdrawn && all[last].call <= p.Return {
			is = last
		} else if len(page) > 0 && seq < page[0].Seq {
			return fmt.Errorf("number %d is missing below %d", seq, page[0].Seq)
		}
		if is >= 0 && all[is].call > p.Return {
			return fmt.Errorf("%+v is to come only later", all[is].is)
		}
		for _, later := range all[is+1:] {
			if later.ret < p.Call-int64(staleMost) {
				return fmt.Errorf("number %d is missing %+v after %s", seq, later.is, time.Duration(p.Call-later.ret))
			}
		}
	}
	return nil
}

func (v version) looks(m shown) bool {
	return v.is.Content == m.Content && v.is.Deleted == m.Deleted
}

// backwards tells what a page from memory shows that a page before it, of the
// same account on the same server, had left behind.
func backwards(before, page []shown) error {
	is := map[int64]shown{}
	for _, m := range page {
		is[m.Seq] = m
	}
	was := map[int64]shown{}
	for _, m := range before {
		was[m.Seq] = m
		if now, there := is[m.Seq]; there && m.Deleted && !now.Deleted {
			return fmt.Errorf("number %d was deleted, and is not", m.Seq)
		}
	}
	for seq := range is {
		if _, there := was[seq]; !there && len(before) > 0 && seq < before[0].Seq {
			return fmt.Errorf("number %d was gone, and is back", seq)
		}
	}
	return nil
}

// A telling makes histories by hand: each act begins after the one before has
// ended.
type telling struct {
	clock int64
	all   []porcupine.Operation
}

func (t *telling) add(in asked, out heard) {
	t.all = append(t.all, porcupine.Operation{Input: in, Output: out, Call: t.clock + 1, Return: t.clock + 2})
	t.clock += 2
}

func (t *telling) send(text string, seq int64) {
	t.add(asked{act: sends, text: text}, heard{status: 201, seq: seq})
}

func (t *telling) change(act act, seq int64, text string, status int) {
	out := heard{status: status}
	if act == edits && status == 200 {
		out.editedAt = "later"
	}
	t.add(asked{act: act, seq: seq, text: text}, out)
}

func (t *telling) read(act act, below int64, page ...shown) {
	t.add(asked{act: act, seq: below}, heard{status: 200, page: page})
}

// The checker accepts what may be and refuses what may not.
func TestHistoriesAreTold(t *testing.T) {
	t.Parallel()
	a, b := shown{Seq: 1, Content: "a"}, shown{Seq: 2, Content: "b"}
	edited, deleted := shown{1, "c", "later", false}, shown{Seq: 1, Deleted: true}
	end := []shown{b, a}
	for outcome, tt := range map[string]struct {
		refused string           // "" for what is accepted
		tell    func(t *telling) // after a at 1 and b at 2
	}{
		"everything is there":                {"", func(t *telling) { t.read(reads, 0, b, a); t.read(reads, 2, a) }},
		"an acknowledged message is lost":    {"Illegal", func(t *telling) { t.read(reads, 0, a) }},
		"one that stands first is lost":      {"Illegal", func(t *telling) { t.read(reads, 0, b) }},
		"a page below a number has it":       {"out of order", func(t *telling) { t.read(reads, 2, b, a) }},
		"a place is given twice":             {"Illegal", func(t *telling) { t.send("c", 2) }},
		"a place is left out":                {"Illegal", func(t *telling) { t.send("c", 4) }},
		"a page out of order":                {"out of order", func(t *telling) { t.read(reads, 0, a, b) }},
		"an edit is seen":                    {"", func(t *telling) { t.change(edits, 1, "c", 200); t.read(reads, 0, b, edited) }},
		"an edit is not seen":                {"Illegal", func(t *telling) { t.change(edits, 1, "c", 200); t.read(reads, 0, b, a) }},
		"an edit is seen and then is not":    {"Illegal", func(t *telling) { t.change(edits, 1, "c", 0); t.read(reads, 0, b, edited); t.read(reads, 0, b, a) }},
		"an edit without an answer is seen":  {"", func(t *telling) { t.change(edits, 1, "c", 0); t.read(reads, 0, b, a); t.read(reads, 0, b, edited) }},
		"it is seen before it was asked for": {"Illegal", func(t *telling) { t.read(reads, 0, b, edited); t.change(edits, 1, "c", 0) }},
		"a deleted message is edited":        {"Illegal", func(t *telling) { t.change(deletes, 1, "", 200); t.change(edits, 1, "c", 200) }},
		"a deleted message is back":          {"Illegal", func(t *telling) { t.change(deletes, 1, "", 200); t.read(reads, 0, b, deleted); t.read(reads, 0, b, a) }},
		"a withdrawn message is gone":        {"", func(t *telling) { t.change(withdraws, 1, "", 200); t.read(reads, 0, b); t.change(deletes, 1, "", 404) }},
		"a withdrawn message is shown":       {"Illegal", func(t *telling) { t.change(withdraws, 1, "", 200); t.read(reads, 0, b, a) }},
		"its place is given again":           {"Illegal", func(t *telling) { t.change(withdraws, 2, "", 200); t.send("c", 2) }},
		"memory is a little behind":          {"", func(t *telling) { t.change(edits, 1, "c", 200); t.read(polls, 0, b, a) }},
		"memory is far behind":               {"is missing", func(t *telling) { t.change(edits, 1, "c", 200); t.clock += int64(staleMost); t.read(polls, 0, b, a) }},
		"memory has a part":                  {"missing below 2", func(t *telling) { t.read(polls, 0, b) }},
		"memory has what was withdrawn":      {"is missing", func(t *telling) { t.change(withdraws, 1, "", 200); t.clock += int64(staleMost); t.read(polls, 0, b, a) }},
		"memory has what never was":          {"never was", func(t *telling) { t.read(polls, 0, b, edited) }},
		"a send without an answer is stored": {"", func(t *telling) {
			t.add(asked{act: sends, text: "c"}, heard{})
			t.read(reads, 0, shown{Seq: 3, Content: "c"}, b, a)
		}},
		"a send without an answer is not": {"", func(t *telling) { t.add(asked{act: sends, text: "c"}, heard{}); t.read(reads, 0, b, a); t.send("d", 3) }},
	} {
		t.Run(outcome, func(t *testing.T) {
			t.Parallel()
			told := &telling{}
			told.send("a", 1)
			told.send("b", 2)
			tt.tell(told)
			err := explain(told.all, map[string][]shown{"": end})
			if tt.refused == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, tt.refused)
			}
		})
	}
	swapped := &telling{}
	swapped.send("a", 2)
	swapped.send("b", 1)
	require.ErrorContains(t, explain(swapped.all, nil), "Illegal", "places in another order than acknowledgements")

	require.NoError(t, backwards([]shown{b, deleted}, []shown{{Seq: 3, Content: "d"}, b}))
	require.ErrorContains(t, backwards([]shown{deleted}, []shown{a}), "was deleted")
	require.ErrorContains(t, backwards([]shown{b}, []shown{b, a}), "is back")
}
