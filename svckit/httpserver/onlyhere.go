package httpserver

import (
	"net"
	"net/netip"
	"strings"

	"github.com/valyala/fasthttp"

	"chatplatform.io/svckit/fault"
)

// IsLoopback reports whether a listener's address is reached from this machine
// only.
func IsLoopback(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// IsThisMachine tells whether a host, with or without a port, is a name that
// means the machine itself wherever it is looked up.
func IsThisMachine(host string) bool {
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

// OnlyHere passes on what was asked of this machine by a name of its own and
// not by way of a proxy that says that it is one. A web page elsewhere can have
// its own name lead to a loopback address, and the browser then takes the
// platform for a part of that page; a proxy brings strangers. Development
// tokens are for neither. A proxy that rewrites Host and adds no header of its
// own cannot be told from a client of this machine.
func OnlyHere(next fasthttp.RequestHandler) fasthttp.RequestHandler {
	elsewhere := fault.ErrForbidden.Say("While development tokens are on, only clients of this machine are answered, at localhost or a loopback address " +
		"and without a proxy; set PUBLIC_URL to serve others.")
	return func(ctx *fasthttp.RequestCtx) {
		if IsThisMachine(string(ctx.Host())) && !proxied(&ctx.Request.Header) {
			next(ctx)
			return
		}
		RequestID(ctx)
		WriteFault(ctx, elsewhere)
	}
}

// proxied reports whether a request carries what proxies add (RFC 7239, RFC
// 9110 section 7.6.3, and the custom before them).
func proxied(header *fasthttp.RequestHeader) bool {
	for _, key := range header.PeekKeys() {
		name := strings.ToLower(string(key))
		if name == "forwarded" || name == "via" || name == "x-real-ip" || strings.HasPrefix(name, "x-forwarded-") {
			return true
		}
	}
	return false
}
