package svctest

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// A Proxy stands between a service and its database, so that a test can take
// the database away and give it back.
type Proxy struct {
	ln     net.Listener
	served sync.WaitGroup

	mu      sync.Mutex
	target  string
	changed *sync.Cond // of state
	state   proxyState
	conns   map[net.Conn]struct{}
}

type proxyState uint8

const (
	passing proxyState = iota
	stalled
	cut
)

// NewProxy starts a proxy to the database of a connection string, which must
// name one host, and gives the connection string that goes through it. The
// proxy ends with the test.
func NewProxy(t testing.TB, uri string) (proxied string, p *Proxy) {
	t.Helper()
	target := targetOf(t, uri)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p = &Proxy{target: target.Host, ln: ln, conns: map[net.Conn]struct{}{}}
	p.changed = sync.NewCond(&p.mu)
	p.served.Go(p.accept)
	t.Cleanup(p.end)
	target.Host = ln.Addr().String()
	return target.String(), p
}

func targetOf(t testing.TB, uri string) *url.URL {
	t.Helper()
	target, err := url.Parse(uri)
	require.NoError(t, err)
	_, _, err = net.SplitHostPort(target.Host)
	require.NoError(t, err, "the proxy needs a connection string with one host and port")
	return target
}

// Move leads new connections to another database, as one that was started
// again on another port.
func (p *Proxy) Move(t testing.TB, uri string) {
	t.Helper()
	target := targetOf(t, uri)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target.Host
}

// Cut breaks every connection and refuses new ones, as a database that died.
func (p *Proxy) Cut() { p.become(cut) }

// Stall lets connections stand and passes nothing on, as a network that lost
// its way: nobody is told of anything.
func (p *Proxy) Stall() { p.become(stalled) }

// Restore passes on what was held back and lets new connections through.
func (p *Proxy) Restore() { p.become(passing) }

func (p *Proxy) become(state proxyState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state = state
	if state == cut {
		for conn := range p.conns {
			_ = conn.Close()
		}
	}
	p.changed.Broadcast()
}

func (p *Proxy) end() {
	p.Cut()
	_ = p.ln.Close()
	p.served.Wait()
}

func (p *Proxy) accept() {
	for {
		client, err := p.ln.Accept()
		if err != nil {
			return
		}
		p.served.Go(func() { p.join(client) })
	}
}

// join copies both ways until either side ends or the proxy is cut.
func (p *Proxy) join(client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", p.leadsTo())
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	if !p.admit(client, server) {
		return
	}
	defer p.dismiss(client, server)
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(gate{p, client}, server)
		_ = client.Close()
	})
	_, _ = io.Copy(gate{p, server}, client)
	_ = server.Close()
	back.Wait()
}

func (p *Proxy) leadsTo() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.target
}

// A gate holds bytes back while its proxy stalls.
type gate struct {
	proxy *Proxy
	to    net.Conn
}

func (g gate) Write(piece []byte) (int, error) {
	g.proxy.mu.Lock()
	for g.proxy.state == stalled {
		g.proxy.changed.Wait()
	}
	g.proxy.mu.Unlock()
	return g.to.Write(piece)
}

func (p *Proxy) admit(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state == cut {
		return false
	}
	for _, conn := range conns {
		p.conns[conn] = struct{}{}
	}
	return true
}

func (p *Proxy) dismiss(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range conns {
		delete(p.conns, conn)
	}
}
