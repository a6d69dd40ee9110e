package local

import (
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"

	"chatplatform.io/svckit/httpserver"
)

// A Place is where clients find the platform.
type Place struct {
	URL string // without a slash at the end
	// Loopback says that clients are on this machine.
	Loopback bool
}

func placeOf(config Config, addr net.Addr) (Place, error) {
	loopback := httpserver.IsLoopback(addr)
	if config.PublicURL != "" {
		public, err := url.Parse(config.PublicURL)
		if err != nil || public.Host == "" || public.Scheme != "http" && public.Scheme != "https" {
			return Place{}, errors.New("PUBLIC_URL is not a URL; it looks like https://chat.example.com")
		}
		return Place{URL: strings.TrimRight(config.PublicURL, "/"), Loopback: loopback && httpserver.IsThisMachine(public.Host)}, nil
	}
	host := addr.String()
	if tcp, ok := addr.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		host = net.JoinHostPort("localhost", strconv.Itoa(tcp.Port))
	}
	return Place{URL: "http://" + host, Loopback: loopback}, nil
}
