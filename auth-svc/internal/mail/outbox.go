package mail

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	netmail "net/mail"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"chatplatform.io/auth-svc/internal/folder"
)

// DefaultKeep is how many mails an outbox holds unless told otherwise.
const DefaultKeep = 200

const outboxSuffix = ".eml"

// Outbox puts each mail into a folder instead of sending it: local mode. Its
// methods are safe for concurrent use.
type Outbox struct {
	dir, from string
	keep      int
	now       func() time.Time
	random    io.Reader
	mu        sync.Mutex // one writer: what is removed is counted once
}

// NewOutbox makes the folder dir when absent, with mode 0700. It holds at most
// keep mails (0 means DefaultKeep), the newest ones.
func NewOutbox(dir, from string, keep int, now func() time.Time, random io.Reader) (*Outbox, error) {
	if _, err := netmail.ParseAddress(from); err != nil {
		return nil, fmt.Errorf("sender of mails: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the outbox: %w", err)
	}
	if keep == 0 {
		keep = DefaultKeep
	}
	return &Outbox{dir: dir, from: from, keep: keep, now: now, random: random}, nil
}

// Send writes m as one .eml file (RFC 5322) with mode 0600, whose name begins
// with the time, and removes the oldest mails beyond the bound.
func (o *Outbox) Send(ctx context.Context, m Message) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("put a mail into the outbox: %w", err)
	}
	id, err := randomID(o.random)
	if err != nil {
		return err
	}
	now := o.now().UTC()
	msg, err := compose(o.from, m, now, id)
	if err != nil {
		return err
	}
	var content bytes.Buffer
	if _, err := msg.WriteTo(&content); err != nil {
		return fmt.Errorf("write a mail: %w", err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	name := now.Format("20060102T150405.000000Z") + "-" + id[:8] + outboxSuffix
	if err := folder.Replace(o.dir, name, content.Bytes()); err != nil {
		return fmt.Errorf("put a mail into the outbox: %w", err)
	}
	return o.removeOldest()
}

func (o *Outbox) removeOldest() error {
	entries, err := os.ReadDir(o.dir) // ascending by name, so by time
	if err != nil {
		return fmt.Errorf("read the outbox: %w", err)
	}
	var mails []string
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), outboxSuffix) && entry.Type().IsRegular() {
			mails = append(mails, entry.Name())
		}
	}
	for _, name := range mails[:max(0, len(mails)-o.keep)] {
		if err := os.Remove(filepath.Join(o.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove an old mail: %w", err)
		}
	}
	return nil
}
