package svctest

import (
	"bytes"
	"context"
	"slices"
	"sync"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
)

// A Command is one message that the driver sent to the database.
type Command struct {
	Name       string // "find", "insert", "findAndModify", …
	Collection string // empty for commands about none
	// Filters holds what the command looks documents up by: the filter of a
	// find, of each update and delete, the query of a findAndModify, the first
	// $match of an aggregate; for an insert the documents themselves.
	Filters []bson.Raw
}

// Carries reports whether every filter names every field at its top level, as
// a sharded cluster needs to send the command to one shard only. A command
// without filters carries nothing.
func (c Command) Carries(fields ...string) bool {
	for _, filter := range c.Filters {
		for _, field := range fields {
			if _, err := filter.LookupErr(field); err != nil {
				return false
			}
		}
	}
	return len(c.Filters) > 0
}

// Commands records what the driver sends, but not commands with a comment: by
// one, services mark what no request waits for. It is safe for concurrent use; its
// zero value is ready.
type Commands struct {
	mu   sync.Mutex
	sent []Command
}

// Monitor is what feeds the record: give it to Database, or put it into
// mongodb.Settings.Monitors.
func (c *Commands) Monitor() *event.CommandMonitor {
	return &event.CommandMonitor{Started: func(_ context.Context, e *event.CommandStartedEvent) {
		if _, err := e.Command.LookupErr("comment"); err == nil {
			return
		}
		command := read(e.CommandName, bson.Raw(bytes.Clone(e.Command)))
		c.mu.Lock()
		defer c.mu.Unlock()
		c.sent = append(c.sent, command)
	}}
}

// Reset forgets what was sent so far.
func (c *Commands) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent = nil
}

// Sent gives the commands of these names, oldest first; without names, all.
func (c *Commands) Sent(names ...string) []Command {
	c.mu.Lock()
	defer c.mu.Unlock()
	var sent []Command
	for _, command := range c.sent {
		if len(names) == 0 || slices.Contains(names, command.Name) {
			sent = append(sent, command)
		}
	}
	return sent
}

// Count is the number of commands of these names; without names, of all.
func (c *Commands) Count(names ...string) int { return len(c.Sent(names...)) }

func read(name string, raw bson.Raw) Command {
	command := Command{Name: name}
	target := name
	if name == "getMore" {
		target = "collection"
	}
	if collection, ok := raw.Lookup(target).StringValueOK(); ok {
		command.Collection = collection
	}
	switch name {
	case "find":
		command.Filters = documents(raw.Lookup("filter"))
	case "findAndModify", "count", "distinct":
		command.Filters = documents(raw.Lookup("query"))
	case "insert":
		command.Filters = elements(raw.Lookup("documents"), "")
	case "update":
		command.Filters = elements(raw.Lookup("updates"), "q")
	case "delete":
		command.Filters = elements(raw.Lookup("deletes"), "q")
	case "aggregate":
		if matches := elements(raw.Lookup("pipeline"), "$match"); len(matches) > 0 {
			command.Filters = matches[:1]
		}
	}
	return command
}

func documents(value bson.RawValue) []bson.Raw {
	if document, ok := value.DocumentOK(); ok {
		return []bson.Raw{document}
	}
	return nil
}

// elements gives the documents of an array, or of each the part under a key.
func elements(array bson.RawValue, key string) []bson.Raw {
	list, ok := array.ArrayOK()
	if !ok {
		return nil
	}
	values, err := list.Values()
	if err != nil {
		return nil
	}
	var found []bson.Raw
	for _, value := range values {
		if key != "" {
			document, ok := value.DocumentOK()
			if !ok {
				continue
			}
			value = document.Lookup(key)
		}
		found = append(found, documents(value)...)
	}
	return found
}
