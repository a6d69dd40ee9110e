package local

import (
	"errors"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"

	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/httpserver"
)

// A Place is where clients find the platform.
type Place struct {
	URL string // without a slash at the end
	// Loopback says that clients are on this machine.
	Loopback bool
}

func placeOf(config Config, addr net.Addr) (Place, error) {
	tcp, ok := addr.(*net.TCPAddr)
	loopback := ok && tcp.IP.IsLoopback()
	if config.PublicURL != "" {
		public, err := url.Parse(config.PublicURL)
		if err != nil || public.Host == "" || public.Scheme != "http" && public.Scheme != "https" {
			return Place{}, errors.New("PUBLIC_URL is not a URL; it looks like https://chat.example.com")
		}
		return Place{URL: strings.TrimRight(config.PublicURL, "/"), Loopback: loopback && thisMachine(public.Host)}, nil
	}
	host := addr.String()
	if ok && tcp.IP.IsUnspecified() {
		host = net.JoinHostPort("localhost", strconv.Itoa(tcp.Port))
	}
	return Place{URL: "http://" + host, Loopback: loopback}, nil
}

// thisMachine tells whether a host, with or without a port, is a name that
// means the machine itself wherever it is looked up.
func thisMachine(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(host)
	if host == "localhost" || strings.HasSuffix(host, ".localhost") { // RFC 6761 section 6.3
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.IsLoopback()
}

// onlyHere passes on what was asked of this machine by a name of its own. A web
// page elsewhere can have its own name lead to a loopback address, and the
// browser then takes the platform for a part of that page; a proxy can bring
// strangers. Development tokens are for neither.
func onlyHere(next fasthttp.RequestHandler) fasthttp.RequestHandler {
	elsewhere := fault.ErrForbidden.Say("While development tokens are on, this platform answers to localhost and loopback addresses only; " +
		"set PUBLIC_URL to serve another name.")
	return func(ctx *fasthttp.RequestCtx) {
		if thisMachine(string(ctx.Host())) {
			next(ctx)
			return
		}
		httpserver.RequestID(ctx)
		httpserver.WriteFault(ctx, elsewhere)
	}
}
