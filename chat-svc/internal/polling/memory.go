package polling

import (
	"crypto/sha256"
	"encoding/base64"

	"github.com/maypok86/otter/v2"

	"chatplatform.io/chat-svc/internal/id"
)

// memoryBytes bounds the pages that are kept.
const memoryBytes = 64 << 20

// A Key names the first page of a list: of all conversations of an account, or
// of one.
type Key struct {
	Account      id.Account
	Conversation id.Conversation
	Limit        int
}

// A Page is an answer as it was written last.
type Page struct {
	Version uint64 // of the account's lists, from before the page was read; 0 where it was not known
	ETag    string
	Body    []byte
}

// Memory keeps the first pages of accounts that poll.
type Memory struct{ pages *otter.Cache[Key, *Page] }

// NewMemory makes an empty one.
func NewMemory() *Memory {
	return &Memory{otter.Must(&otter.Options[Key, *Page]{
		MaximumWeight: memoryBytes,
		Weigher:       func(_ Key, p *Page) uint32 { return uint32(len(p.Body)) + 256 },
	})}
}

// Get gives the page when nothing has changed since its version, which is not
// zero.
func (m *Memory) Get(k Key, version uint64) (*Page, bool) {
	page, ok := m.pages.GetIfPresent(k)
	return page, ok && version != 0 && page.Version == version
}

// Put keeps a page, and tells whether it shows what the one before did.
func (m *Memory) Put(k Key, p *Page) (same bool) {
	before, ok := m.pages.GetIfPresent(k)
	m.pages.Set(k, p)
	return ok && before.ETag == p.ETag
}

// ETag is the validator of content (RFC 9110 §8.8.3), a weak one: what else
// stands in an answer does not count.
func ETag(content []byte) string {
	sum := sha256.Sum256(content)
	return `W/"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
}
