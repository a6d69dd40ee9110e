package httpserver

import (
	"bytes"
	"net/netip"
	"strings"

	"github.com/gofiber/fiber/v2"
)

// ClientIP gives the address that per-address rules count: the address of the
// connection, or, where that is a trusted proxy, the last address in
// X-Forwarded-For that no trusted proxy owns.
func ClientIP(c *fiber.Ctx, trusted []netip.Prefix) netip.Addr {
	addr := peer(c)
	if !contains(trusted, addr) {
		return addr
	}
	// Proxies that add a line of their own leave the client's line before it.
	lines := c.Request().Header.PeekAll(fiber.HeaderXForwardedFor)
	hops := strings.Split(string(bytes.Join(lines, []byte(","))), ",")
	for i := len(hops) - 1; i >= 0 && contains(trusted, addr); i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		addr = hop.Unmap()
	}
	return addr
}

// noticeProxy warns, once, when a proxy seems to stand before the service that
// nobody told it of: all clients then share the limits of one address.
func (a *app) noticeProxy(c *fiber.Ctx) {
	if len(c.Request().Header.Peek(fiber.HeaderXForwardedFor)) == 0 || contains(a.TrustedProxies, peer(c)) {
		return
	}
	a.strangers.Do(func() {
		a.Logger.WarnContext(c.UserContext(), "X-Forwarded-For came from an address that TRUSTED_PROXIES does not name and is not believed; "+
			"behind a proxy, all clients share the limits of its address until it is named", "peer", peer(c).String())
	})
}

// peer is the address of the connection.
func peer(c *fiber.Ctx) netip.Addr {
	addr, _ := netip.AddrFromSlice(c.Context().RemoteIP())
	return addr.Unmap()
}

func contains(prefixes []netip.Prefix, addr netip.Addr) bool {
	for _, p := range prefixes {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}
