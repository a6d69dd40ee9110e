package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"chatplatform.io/svckit/token"
)

// barePollsCommand has this program serve bare polls instead of measuring.
const barePollsCommand = "bare-polls"

// barePolls is what the yardstick of polls is told on its standard input.
type barePolls struct {
	Issuer string `json:"issuer"`
	Keys   string `json:"keys"` // URL of the platform's keys
	ETag   string `json:"etag"`
	Body   []byte `json:"body"`
}

// serveBarePolls answers polls with what it is told on stdin, to whom has a
// token of the platform, on a port that it prints. It ends when stdin does.
func serveBarePolls(stdin io.Reader, stdout io.Writer) error {
	decoder := json.NewDecoder(stdin)
	var told barePolls
	if err := decoder.Decode(&told); err != nil {
		return fmt.Errorf("read what to answer: %w", err)
	}
	client := &http.Client{Timeout: callTimeout, Transport: &http.Transport{DisableKeepAlives: true}}
	verifier := fresh(token.Config{
		Issuer: told.Issuer, Audience: audience, Capacity: 10 * pollers, Now: time.Now,
		Keys: token.NewJWKS(told.Keys, client, time.Now),
	})
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Get("/api/messages", func(c *fiber.Ctx) error {
		raw, _ := strings.CutPrefix(c.Get(fiber.HeaderAuthorization), "Bearer ")
		if _, err := verifier.Verify(c.Context(), raw); err != nil {
			return c.SendStatus(http.StatusUnauthorized)
		}
		c.Set(fiber.HeaderETag, told.ETag)
		if c.Get(fiber.HeaderIfNoneMatch) == told.ETag {
			return c.SendStatus(http.StatusNotModified)
		}
		c.Response().Header.SetContentType(fiber.MIMEApplicationJSON)
		c.Response().SetBodyRaw(told.Body)
		return nil
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // nothing to give up on
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- app.Listener(ln) }()
	if _, err := fmt.Fprintln(stdout, "http://"+ln.Addr().String()); err != nil {
		return fmt.Errorf("tell the address: %w", err)
	}
	_, _ = io.Copy(io.Discard, stdin) // nothing more comes: its end is what counts
	return errors.Join(app.ShutdownWithTimeout(callTimeout), <-ended)
}

// A bareProcess is a yardstick that runs beside.
type bareProcess struct {
	url    string
	pid    int
	client *fasthttp.HostClient
	end    func()
}

// startBarePolls starts a yardstick that answers what p is answered.
func (w *world) startBarePolls(ctx context.Context, p *person) (b bareProcess, err error) {
	program, err := os.Executable()
	if err != nil {
		return b, fmt.Errorf("start the yardstick: %w", err)
	}
	if err := p.do(http.StatusOK, "GET", pollPath, nil); err != nil {
		return b, err
	}
	config, err := w.verifying()
	if err != nil {
		return b, err
	}
	told, err := json.Marshal(barePolls{
		Issuer: config.Issuer, Keys: w.server.URL + keysPath,
		ETag: string(p.resp.Header.Peek(fasthttp.HeaderETag)), Body: p.resp.Body(),
	})
	if err != nil {
		return b, err
	}
	cmd := exec.CommandContext(ctx, program, barePollsCommand)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return b, fmt.Errorf("start the yardstick: %w", err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return b, fmt.Errorf("start the yardstick: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return b, fmt.Errorf("start the yardstick: %w", err)
	}
	b.pid = cmd.Process.Pid
	b.end = func() { _, _ = stdin.Close(), cmd.Wait() } // what it measured is known by now
	_, err = stdin.Write(told)
	address, failed := bufio.NewReader(stdout).ReadString('\n')
	if err = errors.Join(err, failed); err != nil {
		b.end()
		return b, fmt.Errorf("start the yardstick: %w", err)
	}
	b.url = strings.TrimSpace(address)
	b.client = hostClient(b.url)
	return b, nil
}
