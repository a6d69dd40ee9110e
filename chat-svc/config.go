package chatsvc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"chatplatform.io/auth-svc/accounts"
	"chatplatform.io/chat-svc/internal/chat"
	"chatplatform.io/chat-svc/internal/polling"
	"chatplatform.io/chat-svc/internal/retention"
	"chatplatform.io/svckit/httpserver"
	"chatplatform.io/svckit/mongodb"
	"chatplatform.io/svckit/observe"
	"chatplatform.io/svckit/token"
)

// Config is everything that an installation chooses of chat-svc.
type Config struct {
	Issuer     string `env:"ISSUER,notEmpty" doc:"Name of this installation in tokens (iss), as auth-svc has it."`
	Audience   string `env:"AUDIENCE" envDefault:"chatplatform" doc:"Audience of the tokens of agents (aud), as auth-svc has it."`
	TokenCache int    `env:"TOKEN_CACHE" envDefault:"100000" doc:"Most verified tokens kept in memory."`
	DevTokens  bool   `env:"DEV_TOKENS" envDefault:"false" doc:"Whether dev:NAME is taken as a token; refused unless LISTEN is a loopback address."`

	SendsPerMinute          float64 `env:"SENDS_PER_MINUTE" envDefault:"600" doc:"Messages that an account may send in a minute, on each replica; changes of messages and of blocks count like messages, and so do chat actions."`
	SendBurst               int     `env:"SEND_BURST" envDefault:"100" doc:"Messages that an account may send at once."`
	CreationsPerMinute      float64 `env:"CREATIONS_PER_MINUTE" envDefault:"60" doc:"Conversations that an account may make in a minute, on each replica; each 500 members that one is made with count as one more."`
	CreationBurst           int     `env:"CREATION_BURST" envDefault:"100" doc:"Conversations that an account may make at once."`
	MembersPerGroup         int     `env:"MEMBERS_PER_GROUP" envDefault:"50000" doc:"Most members of a group."`
	ConversationsPerAccount int     `env:"CONVERSATIONS_PER_ACCOUNT" envDefault:"5000" doc:"Groups that an account may have made and that are not closed; it is invited to no more conversations when it is in four times as many."`
	BlocksPerAccount        int     `env:"BLOCKS_PER_ACCOUNT" envDefault:"1000" doc:"Blocks that an account may have."`
	BlocksMaxGroup          int     `env:"BLOCKS_MAX_GROUP" envDefault:"0" doc:"Members of the largest group in which a block by one of them bars another from sending; in larger ones the messages are hidden from who blocks. 0 means any size."`

	PollMinInterval time.Duration `env:"POLL_MIN_INTERVAL" envDefault:"1s" doc:"Least wait between polls that an account is advised, at least 1s."`
	PollMaxInterval time.Duration `env:"POLL_MAX_INTERVAL" envDefault:"30s" doc:"Most that it is advised, before a spread of up to 10 %."`
	PollBurst       int           `env:"POLL_BURST" envDefault:"5" doc:"Polls in a row that are served before the limit of one a second refuses."`
	PollMaxWaiting  int           `env:"POLL_MAX_WAITING" envDefault:"20000" doc:"Most requests of a replica that wait for a message; more are answered 503."`
	PollWaitingEach int           `env:"POLL_WAITING_EACH" envDefault:"16" doc:"Most of one account; one more ends its oldest at once, as if nothing had come."`
	PollMaxReading  int           `env:"POLL_MAX_READING" envDefault:"32" doc:"Most polls of a replica that read from the database at once, fewer than MONGODB_MAX_POOL; more wait half a second and are answered 503."`

	Retention time.Duration `env:"RETENTION" envDefault:"0s" doc:"How long messages are kept, at least 24h; 0 means for ever. Older ones are deleted, except the last one of each conversation."`

	EventMemory int `env:"EVENT_MEMORY" envDefault:"67108864" doc:"Bytes of the newest events that a replica keeps for who catches up; what is older is read from the database."`

	EventConnections     int           `env:"EVENT_CONNECTIONS" envDefault:"50000" doc:"Most clients of a replica that are sent events (WebSocket and server-sent events); more are answered 503."`
	EventConnectionsEach int           `env:"EVENT_CONNECTIONS_EACH" envDefault:"32" doc:"Most of one account, on each replica; more are answered 429."`
	EventHeartbeat       time.Duration `env:"EVENT_HEARTBEAT" envDefault:"20s" doc:"How often each of them is sent a sign of life, at least 1s: a ping, or a comment."`

	// ClockOffset is how far the clock may be from the database's before nothing
	// is sent any more: 30 s when zero. Tests that move the clock set it.
	ClockOffset time.Duration `env:"-"`

	Accounts accounts.Settings
	Serving  httpserver.Settings
	MongoDB  mongodb.Settings
	Observe  observe.Settings
}

// clockOffset is half of the minute by which catch-up looks back.
const clockOffset = 30 * time.Second

// limitedAccounts is how many accounts the limits of sends and of creations
// remember, each.
const limitedAccounts = 100_000

// Tickets that an account may have made, on each replica: each is a write.
const (
	ticketsASecond = 1
	ticketBurst    = 30
)

// check refuses limits that would let nobody do anything.
func (c Config) check() error {
	if c.EventMemory < 0 {
		return errors.New("EVENT_MEMORY must not be negative")
	}
	if min(c.SendsPerMinute, c.CreationsPerMinute) <= 0 ||
		min(c.SendBurst, c.CreationBurst, c.MembersPerGroup, c.ConversationsPerAccount, c.BlocksPerAccount) < 1 {
		return errors.New("SENDS_PER_MINUTE, SEND_BURST, CREATIONS_PER_MINUTE, CREATION_BURST, MEMBERS_PER_GROUP, CONVERSATIONS_PER_ACCOUNT and BLOCKS_PER_ACCOUNT must be above zero")
	}
	if min(c.EventConnections, c.EventConnectionsEach) < 1 || c.EventHeartbeat < time.Second {
		return errors.New("EVENT_CONNECTIONS and EVENT_CONNECTIONS_EACH must be above zero, and EVENT_HEARTBEAT at least 1s")
	}
	if c.PollMaxWaiting < 0 || c.PollWaitingEach < 1 || c.PollMaxReading < 1 {
		return errors.New("POLL_WAITING_EACH and POLL_MAX_READING must be above zero, and POLL_MAX_WAITING not below")
	}
	if c.Retention != 0 && c.Retention < retention.Least {
		return fmt.Errorf("RETENTION is %s; it must be 0, for ever, or at least %s", c.Retention, retention.Least)
	}
	return c.polling().Check()
}

func (c Config) limits() chat.Limits {
	return chat.Limits{
		MembersPerGroup: c.MembersPerGroup, ConversationsPerAccount: c.ConversationsPerAccount,
		BlocksPerAccount: c.BlocksPerAccount, BlocksMaxGroup: c.BlocksMaxGroup, ClockOffset: cmp.Or(c.ClockOffset, clockOffset),
	}
}

func (c Config) polling() polling.Settings {
	return polling.Settings{MinInterval: c.PollMinInterval, MaxInterval: c.PollMaxInterval, Burst: c.PollBurst}
}

// devTokens takes the name of an account for a token.
type devTokens struct {
	accounts *accounts.Client
	now      func() time.Time
}

func (d devTokens) claims(ctx context.Context, name string) (*token.Claims, error) {
	found, err := d.accounts.ByName(ctx, name)
	if err != nil {
		return nil, err
	}
	account, ok := found[strings.ToLower(name)]
	if !ok {
		return nil, token.ErrDevName
	}
	return token.DevClaims(account.ID, d.now()), nil
}
