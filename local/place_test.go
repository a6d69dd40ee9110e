package local

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPlaceOf(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		listen, public string
		want           Place
		err            string
	}{
		"loopback is for development":              {"127.0.0.1:8080", "", Place{"http://127.0.0.1:8080", true}, ""},
		"so is IPv6's":                             {"[::1]:8080", "", Place{"http://[::1]:8080", true}, ""},
		"and one under a name of this machine":     {"127.0.0.1:8080", "http://chat.localhost:8080/", Place{"http://chat.localhost:8080", true}, ""},
		"all addresses are not":                    {"0.0.0.0:8080", "", Place{"http://localhost:8080", false}, ""},
		"nor is one of them":                       {"192.0.2.7:8080", "", Place{"http://192.0.2.7:8080", false}, ""},
		"nor is loopback behind a proxy":           {"127.0.0.1:8080", "https://chat.example.com/", Place{"https://chat.example.com", false}, ""},
		"all addresses are not, whatever the name": {"0.0.0.0:8080", "http://localhost:8080", Place{"http://localhost:8080", false}, ""},
		"a name alone is no URL":                   {"127.0.0.1:8080", "chat.example.com", Place{}, "PUBLIC_URL is not a URL"},
		"nor is a file":                            {"127.0.0.1:8080", "file:///tmp", Place{}, "PUBLIC_URL is not a URL"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr, err := net.ResolveTCPAddr("tcp", tt.listen)
			require.NoError(t, err)
			got, err := placeOf(Config{PublicURL: tt.public}, addr)
			if tt.err != "" {
				require.ErrorContains(t, err, tt.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
		})
	}
}
