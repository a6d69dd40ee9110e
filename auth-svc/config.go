package authsvc

import (
	"crypto/rand"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"chatplatform.io/auth-svc/internal/identity"
	"chatplatform.io/auth-svc/internal/mail"
	"chatplatform.io/auth-svc/internal/restapi"
	"chatplatform.io/svckit/httpserver"
	"chatplatform.io/svckit/mongodb"
	"chatplatform.io/svckit/observe"
)

// Config is everything that an installation chooses of auth-svc.
type Config struct {
	PublicURL string `env:"PUBLIC_URL,notEmpty" doc:"URL under which clients reach the platform; mailed links and server metadata begin with it."`
	Issuer    string `env:"ISSUER,notEmpty" doc:"Name of this installation in tokens (iss), an https URL. Changing it makes every token worthless."`
	Audience  string `env:"AUDIENCE" envDefault:"chatplatform" doc:"Audience of the tokens of agents (aud)."`

	SigningKeysDir        string `env:"SIGNING_KEYS_DIR,notEmpty" doc:"Folder of Ed25519 keys, kid.pem in PKCS#8, and a file active that names the one that signs; followed while running."`
	PeppersDir            string `env:"PEPPERS_DIR,notEmpty" doc:"Folder of peppers, one file a version, under which secrets are hashed; followed while running."`
	ServiceCredentialsDir string `env:"SERVICE_CREDENTIALS_DIR,notEmpty" doc:"Folder with one file for each service of the platform that holds its credential; followed while running."`

	TokenTTL       time.Duration `env:"TOKEN_TTL" envDefault:"15m" doc:"Life of an access token, at most 15m: the other services remember revocations for 20m."`
	TokenCache     int           `env:"TOKEN_CACHE" envDefault:"100000" doc:"Most verified tokens kept in memory."`
	KeysPerAccount int           `env:"KEYS_PER_ACCOUNT" envDefault:"50" doc:"Most live API keys of an account."`

	UnlimitedLoopback bool `env:"UNLIMITED_LOOPBACK" envDefault:"false" doc:"Whether clients on this machine register without limit."`
	DevTokens         bool `env:"DEV_TOKENS" envDefault:"false" doc:"Whether dev:NAME is taken as a token and people sign in by name; refused unless LISTEN is a loopback address."`

	Outbox  string `env:"MAIL_OUTBOX" doc:"Folder into which mails are written instead of being sent."`
	Mail    mail.Settings
	Serving httpserver.Settings
	MongoDB mongodb.Settings
	Observe observe.Settings
}

// chainTTL is how long a token may be refreshed again and again
// (docs/api/auth.md).
const chainTTL = 24 * time.Hour

// tokenTTLMost is well below the time for which the other services remember
// revocations.
const tokenTTLMost = 15 * time.Minute

// outboxKeeps is how many mails an outbox holds.
const outboxKeeps = 1000

// check names every setting whose value would do harm.
func (c Config) check() error {
	var problems []error
	problem := func(bad bool, text string) {
		if bad {
			problems = append(problems, errors.New(text))
		}
	}
	problem(!wholeURL(c.PublicURL), "PUBLIC_URL: a whole URL is needed, as in https://chat.example.com")
	problem(!wholeURL(c.Issuer), "ISSUER: a whole URL is needed, as in https://chat.example.com")
	problem(slices.Contains(identity.Services(), c.Audience), "AUDIENCE: it must not be the name of a service, or agents would pass for services")
	problem(c.TokenTTL < time.Second || c.TokenTTL > tokenTTLMost, "TOKEN_TTL: a duration from 1s to 15m is needed")
	problem(c.TokenCache < 1, "TOKEN_CACHE: a whole number from 1 is needed")
	problem(c.KeysPerAccount < 1, "KEYS_PER_ACCOUNT: a whole number from 1 is needed")
	return errors.Join(problems...)
}

// wholeURL tells whether raw is an absolute http or https URL.
func wholeURL(raw string) bool {
	parsed, err := url.Parse(raw)
	return err == nil && (parsed.Scheme == "https" || parsed.Scheme == "http") && parsed.Host != ""
}

func (c Config) identity() identity.Config {
	return identity.Config{
		Issuer: c.Issuer, Audience: c.Audience, PublicURL: c.publicURL(),
		Limits: identity.Limits{KeysPerAccount: c.KeysPerAccount, TokenTTL: c.TokenTTL, ChainTTL: chainTTL},
	}
}

func (c Config) rest() restapi.Config {
	return restapi.Config{Issuer: c.Issuer, PublicURL: c.publicURL(), UnlimitedLoopback: c.UnlimitedLoopback}
}

func (c Config) publicURL() string { return strings.TrimRight(c.PublicURL, "/") }

// mailer is the outbox, the relay, or nil where neither is configured.
func (c Config) mailer(now func() time.Time) (identity.Mailer, error) {
	switch {
	case c.Outbox != "":
		return mail.NewOutbox(c.Outbox, c.Mail.From, outboxKeeps, now, rand.Reader)
	case c.Mail.Host != "":
		return mail.NewSMTP(c.Mail, now, rand.Reader)
	}
	return nil, nil
}
