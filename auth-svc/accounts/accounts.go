// Package accounts is the client by which the other services ask auth-svc who
// an account is and learn what happened to it. It speaks to auth-svc's internal
// door with the service's own credential.
package accounts

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"chatplatform.io/svckit/cache"
	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/token"
)

// Audience is the audience of the tokens that auth-svc's internal door takes.
const Audience = "auth-svc"

const (
	lookupTimeout = 3 * time.Second
	lookupMost    = 1000 // of one call
	answerMax     = 4 << 20

	nameLeast, nameMost = 3, 50 // characters

	// Accounts are cached for at most this long; the change feed ends what it
	// names sooner.
	cacheAge  = 5 * time.Minute
	cacheSize = 100_000
)

// Settings say where auth-svc is and how the service proves itself there.
type Settings struct {
	URL        string `env:"AUTH_INTERNAL_URL,notEmpty" doc:"URL of auth-svc's internal listener."`
	SecretFile string `env:"SERVICE_SECRET_FILE,notEmpty" doc:"File with the credential by which this service proves itself to the others; read again whenever it is used."`
}

// Deps are what a client works with.
type Deps struct {
	Service string // the caller's own name
	Logger  *slog.Logger
	Now     func() time.Time
	// Deleted hears, when Follow does, that accounts were deleted; nil for
	// nobody. It must not block.
	Deleted func()
}

// A Client asks auth-svc. It is safe for concurrent use; Follow must run for
// revocations to arrive.
type Client struct {
	url    string
	http   *http.Client
	tokens *token.ServiceSource
	deps   Deps

	byID    *cache.Cache[string, Account]
	ids     *cache.Cache[string, string] // by lower-case name, which no account changes
	caching sync.Mutex
	forgot  uint64 // how often an account was forgotten; under caching
	revoked *revocations
	heard   atomic.Pointer[time.Time] // when the change feed last answered
}

// New makes a client. It makes no call by itself.
func New(s Settings, deps Deps) *Client {
	client := &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: 16, MaxConnsPerHost: 64, IdleConnTimeout: time.Minute,
	}}
	address := strings.TrimRight(s.URL, "/")
	c := &Client{
		url: address, http: client, deps: deps,
		tokens:  token.NewServiceSource(address, deps.Service, s.SecretFile, Audience, client, deps.Now),
		byID:    cache.New[string, Account](cacheSize, cacheAge, deps.Now),
		ids:     cache.New[string, string](cacheSize, cacheAge, deps.Now),
		revoked: newRevocations(deps.Now),
	}
	c.hear()
	return c
}

// Keys gives the key set by which tokens are verified.
func (c *Client) Keys() *token.JWKS {
	return token.NewJWKS(c.url+"/.well-known/jwks.json", c.http, c.deps.Now)
}

// Revoked tells whether a token that is otherwise good was withdrawn, as far
// as the change feed was heard.
func (c *Client) Revoked(claims *token.Claims) bool { return c.revoked.has(claims) }

// Close ends the client's idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// ByID finds living accounts by id. An id that is not in the result does not
// exist or was deleted. With auth-svc away it answers from memory where it
// can, and is fault.ErrUnavailable otherwise.
func (c *Client) ByID(ctx context.Context, ids ...string) (map[string]Account, error) {
	return living(c.AnyByID(ctx, ids...))
}

// AnyByID is ByID with the deleted accounts, of which id, name and kind are
// left.
func (c *Client) AnyByID(ctx context.Context, ids ...string) (map[string]Account, error) {
	return c.find(ctx, ids, c.byID.Get, func(missing []string) LookupRequest { return LookupRequest{IDs: missing} },
		func(a Account) string { return a.ID })
}

// ByName is ByID by username, without regard to case; the keys of the result
// are in lower case. What cannot be a username is nobody's.
func (c *Client) ByName(ctx context.Context, names ...string) (map[string]Account, error) {
	lower := make([]string, 0, len(names))
	for _, name := range names {
		if isName(name) {
			lower = append(lower, strings.ToLower(name))
		}
	}
	known := func(name string) (Account, bool) {
		id, _ := c.ids.Get(name)
		return c.byID.Get(id)
	}
	return living(c.find(ctx, lower, known, func(missing []string) LookupRequest { return LookupRequest{Names: missing} },
		func(a Account) string { return strings.ToLower(a.Name) }))
}

func living(found map[string]Account, err error) (map[string]Account, error) {
	maps.DeleteFunc(found, func(_ string, a Account) bool { return a.Deleted })
	return found, err
}

// isName reports whether name is a username (docs/api/conventions.md): others
// would be asked for in vain, and in lower case some look like one.
func isName(name string) bool {
	strange := func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-'
	}
	return len(name) >= nameLeast && len(name) <= nameMost && !strings.ContainsFunc(name, strange)
}

// find takes what the cache has and asks for the rest, in calls of a bounded
// size.
func (c *Client) find(
	ctx context.Context, wanted []string, known func(string) (Account, bool),
	request func([]string) LookupRequest, key func(Account) string,
) (map[string]Account, error) {
	found := make(map[string]Account, len(wanted))
	var missing []string
	for _, k := range wanted {
		if a, ok := known(k); ok {
			found[k] = a
		} else {
			missing = append(missing, k)
		}
	}
	for len(missing) > 0 {
		batch := missing[:min(len(missing), lookupMost)]
		missing = missing[len(batch):]
		var answer LookupAnswer
		before := c.forgotten()
		if err := c.post(ctx, "/internal/accounts", request(batch), &answer); err != nil {
			return nil, err
		}
		for _, a := range answer.Accounts {
			c.keep(a, before)
			found[key(a)] = a
		}
	}
	return found, nil
}

// keep caches an account, unless one was forgotten since before: it may be this
// one, and the answer from before its change.
func (c *Client) keep(a Account, before uint64) {
	c.caching.Lock()
	defer c.caching.Unlock()
	if c.forgot == before {
		c.byID.Set(a.ID, a)
		c.ids.Set(strings.ToLower(a.Name), a.ID)
	}
}

func (c *Client) forgotten() uint64 {
	c.caching.Lock()
	defer c.caching.Unlock()
	return c.forgot
}

// forget drops what is cached of an account.
func (c *Client) forget(id string) {
	c.caching.Lock()
	defer c.caching.Unlock()
	c.forgot++
	c.byID.Delete(id)
}

func (c *Client) post(ctx context.Context, path string, body, into any) error {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	raw, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("ask auth-svc %s: %w", path, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+path, bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("ask auth-svc %s: %w", path, err)
	}
	req.Header.Set("Content-Type", "application/json")
	return c.do(req, into)
}

// Changes gives the first changes after a position, at most 1,000, without
// waiting for any, and the position to go on from. The deletions of accounts are
// kept for good, other changes until no token can be older. ErrPosition;
// fault.ErrUnavailable.
func (c *Client) Changes(ctx context.Context, after Position) (changes []Change, next Position, err error) {
	answer, err := c.changes(ctx, after.query(), 0)
	if err != nil {
		return nil, after, err
	}
	return answer.Changes, answer.next(), nil
}

// changes asks for what happened after a position, or since an instant where
// the position is not known.
func (c *Client) changes(ctx context.Context, from url.Values, wait time.Duration) (ChangesAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, wait+lookupTimeout)
	defer cancel()
	from.Set("wait", strconv.Itoa(int(wait.Seconds())))
	var answer ChangesAnswer
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+"/internal/changes?"+from.Encode(), nil)
	if err != nil {
		return answer, fmt.Errorf("read auth-svc's changes: %w", err)
	}
	return answer, c.do(req, &answer)
}

// do sends req with the service's token. Whatever fails means that auth-svc
// cannot be asked at the moment.
func (c *Client) do(req *http.Request, into any) error {
	unavailable := fault.ErrUnavailable.Say("Accounts cannot be looked up at the moment; try again.")
	bearer, err := c.tokens.Token(req.Context())
	if err != nil {
		return unavailable.Because(err)
	}
	req.Header.Set("Authorization", "Bearer "+bearer)
	resp, err := c.http.Do(req)
	if err != nil {
		return unavailable.Because(err)
	}
	defer func() { _ = resp.Body.Close() }() // nothing was written
	if resp.StatusCode == http.StatusUnauthorized {
		c.tokens.Forget(bearer)
	}
	if resp.StatusCode == http.StatusBadRequest && invalidCursor(resp.Body) {
		return ErrPosition
	}
	if resp.StatusCode != http.StatusOK {
		return unavailable.Because(fmt.Errorf("auth-svc answered %s with status %d", req.URL.Path, resp.StatusCode))
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, answerMax)).Decode(into); err != nil {
		return unavailable.Because(err)
	}
	return nil
}

// ErrPosition says that the change feed does not know the position: a backup
// was restored.
var ErrPosition = errors.New("auth-svc's change feed does not know the position")

func invalidCursor(body io.Reader) bool {
	var refusal struct {
		Error struct {
			Code string `json:"code"`
		} `json:"error"`
	}
	err := json.NewDecoder(io.LimitReader(body, answerMax)).Decode(&refusal)
	return err == nil && refusal.Error.Code == "INVALID_CURSOR"
}
