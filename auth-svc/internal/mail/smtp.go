package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	netmail "net/mail"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/wneessen/go-mail"

	"chatplatform.io/auth-svc/internal/secret"
)

// How a connection to the relay is encrypted.
const (
	StartTLS = "starttls" // demanded after the greeting (RFC 3207)
	Implicit = "implicit" // from the first byte (RFC 8314)
	NoTLS    = "none"     // never; only without a password
)

// Settings say how mail leaves. Without a Host there is no mail.
type Settings struct {
	Host     string        `env:"SMTP_HOST" doc:"Mail relay; empty = no mail is sent."`
	Port     int           `env:"SMTP_PORT" envDefault:"587" doc:"Port of the relay."`
	Username string        `env:"SMTP_USERNAME" doc:"User at the relay; empty = no authentication."`
	Password secret.Secret `env:"SMTP_PASSWORD" doc:"Password at the relay."`
	TLS      string        `env:"SMTP_TLS" envDefault:"starttls" doc:"How the relay is spoken to: starttls (demanded), implicit, or none (only without a password)."`
	CAFile   string        `env:"SMTP_CA_FILE" doc:"PEM file of authorities to trust for the relay; empty = the system's."`
	From     string        `env:"MAIL_FROM" envDefault:"ChatPlatform <noreply@localhost>" doc:"Sender of all mails."`
	Timeout  time.Duration `env:"SMTP_TIMEOUT" envDefault:"15s" doc:"The most that handing over one mail may take."`
}

// SMTP hands mails to a relay, each over a connection of its own. Its methods
// are safe for concurrent use.
type SMTP struct {
	settings Settings
	tls      *tls.Config
	options  []mail.Option
	now      func() time.Time
	random   io.Reader
}

// NewSMTP checks the settings, naming the one that is wrong, and connects to
// nothing. The CA file is read once.
func NewSMTP(settings Settings, now func() time.Time, random io.Reader) (*SMTP, error) {
	if err := settings.check(); err != nil {
		return nil, err
	}
	config := &tls.Config{ServerName: settings.Host, MinVersion: tls.VersionTLS12}
	if settings.CAFile != "" {
		content, err := os.ReadFile(settings.CAFile)
		if err != nil {
			return nil, fmt.Errorf("SMTP_CA_FILE: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(content) {
			return nil, fmt.Errorf("SMTP_CA_FILE: %s holds no certificate", settings.CAFile)
		}
	}
	options := []mail.Option{
		mail.WithPort(settings.Port), mail.WithTLSConfig(config), mail.WithoutNoop(),
		// The client counts this anew in every phase; the limit is Send's, which cuts the line.
		mail.WithTimeout(time.Hour),
		// Encryption from the first byte is the line's doing, below.
		mail.WithTLSPolicy(mail.NoTLS),
	}
	if settings.TLS == StartTLS {
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory))
	}
	if settings.Username != "" {
		options = append(options, mail.WithUsername(settings.Username), mail.WithPassword(settings.Password.Reveal()),
			mail.WithOpportunisticSMTPAuth(mail.SMTPAuthSCRAMSHA256, mail.SMTPAuthPlain, mail.SMTPAuthLogin))
	}
	return &SMTP{settings: settings, tls: config, options: options, now: now, random: random}, nil
}

func (s Settings) check() error {
	var problems []error
	problem := func(bad bool, text string) {
		if bad {
			problems = append(problems, errors.New(text))
		}
	}
	_, err := netmail.ParseAddress(s.From)
	problem(s.Host == "", "SMTP_HOST: the name of a relay is needed")
	problem(s.Port < 1 || s.Port > 65535, "SMTP_PORT: a port from 1 to 65535 is needed")
	problem(s.TLS != StartTLS && s.TLS != Implicit && s.TLS != NoTLS, "SMTP_TLS: starttls, implicit or none is needed")
	problem(s.TLS == NoTLS && s.Username != "", "SMTP_TLS: none would show the password to the network; take starttls or implicit")
	problem((s.Username == "") != s.Password.IsZero(), "SMTP_USERNAME and SMTP_PASSWORD belong together")
	problem(err != nil, "MAIL_FROM: an address is needed, as in Name <name@example.com>")
	problem(s.Timeout <= 0, "SMTP_TIMEOUT: a positive duration is needed")
	return errors.Join(problems...)
}

// Send hands m to the relay. Nil means that the relay has taken it. It takes
// at most Settings.Timeout, and ends early when ctx does. An error names neither
// the person nor the text; ErrRefused says when another try is of no use.
func (s *SMTP) Send(ctx context.Context, m Message) error {
	ctx, cancel := context.WithTimeout(ctx, s.settings.Timeout)
	defer cancel()
	id, err := randomID(s.random)
	if err != nil {
		return err
	}
	msg, err := compose(s.settings.From, m, s.now(), id)
	if err != nil {
		return err
	}
	line := &line{}
	if s.settings.TLS == Implicit {
		line.tls = s.tls
	}
	defer line.close()
	defer context.AfterFunc(ctx, line.close)()
	client, err := mail.NewClient(s.settings.Host, slices.Concat(s.options, []mail.Option{mail.WithDialContextFunc(line.dial)})...)
	if err != nil {
		return fmt.Errorf("prepare the connection to the relay: %w", err)
	}
	err = client.DialAndSendWithContext(ctx, msg)
	// What goes wrong after the relay has taken the mail is not worth a second mail.
	if err == nil || msg.IsDelivered() {
		return nil
	}
	relay := net.JoinHostPort(s.settings.Host, strconv.Itoa(s.settings.Port))
	if ctx.Err() != nil {
		// The connection was closed under the client's hands: its error would mislead.
		return fmt.Errorf("hand a mail to the relay %s: %w", relay, context.Cause(ctx))
	}
	return fmt.Errorf("hand a mail to the relay %s: %w", relay, explain(err))
}

// explain takes out of err what may name the recipient, as relays do in their
// answers about one.
func explain(err error) error {
	var failed *mail.SendError
	if !errors.As(err, &failed) {
		return err
	}
	said := fmt.Errorf("%s (status %d)", failed.Reason, failed.ErrorCode())
	// A refusal of the sender is a matter of the configuration, not of this mail.
	if failed.ErrorCode() >= 500 && failed.Reason != mail.ErrSMTPMailFrom {
		return fmt.Errorf("%w: %w", said, ErrRefused)
	}
	return said
}

// A line is the connection of one Send. It can be cut at any time, however long
// the client would wait, and whoever made it cuts it at the end: the client
// leaves it open after a failed handshake or login.
type line struct {
	tls *tls.Config // nil: not encrypted from the first byte

	mu   sync.Mutex
	conn net.Conn
	cut  bool
}

func (l *line) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.conn = conn
	cut := l.cut
	l.mu.Unlock()
	if cut {
		return nil, errors.Join(net.ErrClosed, conn.Close())
	}
	if l.tls == nil {
		return conn, nil
	}
	encrypted := tls.Client(conn, l.tls)
	return encrypted, encrypted.HandshakeContext(ctx)
}

func (l *line) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = true
	if l.conn != nil {
		_ = l.conn.Close() // most often closed already
	}
}

func randomID(random io.Reader) (string, error) {
	id := make([]byte, 16)
	if _, err := io.ReadFull(random, id); err != nil {
		return "", fmt.Errorf("read random bytes: %w", err)
	}
	return hex.EncodeToString(id), nil
}
