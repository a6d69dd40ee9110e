package e2e_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chatplatform.io/e2e/platform"
)

func TestRestartKeepsEverything(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*testing.T, *site){
		"after Ctrl-C":  func(t *testing.T, s *site) { require.NoError(t, s.Stop()) },
		"after SIGKILL": func(t *testing.T, s *site) { require.NoError(t, s.Kill()) },
	}
	for name, end := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := ownEngine(t, "LOG_LEVEL=INFO")
			first := h.start(t)
			a := first.register(t, "keeper")
			conversation := first.newGroup(t, a)
			for i := range 3 {
				first.send(t, a, conversation, fmt.Sprintf("message %d", i+1))
			}
			engine := engineAddress(t, first)
			require.True(t, listens(engine))

			end(t, first)
			require.Eventually(t, func() bool { return !listens(engine) }, 30*time.Second, 20*time.Millisecond, "the engine outlived the platform")
			second := h.start(t)

			require.NotEqual(t, first.URL, second.URL, "another port, so that tokens are seen not to depend on it")
			second.must(t, 200, "POST", "/api/getMe", bearer(a.token), nil)
			page := second.must(t, 200, "GET", "/api/conversations/"+conversation+"/messages", bearer(second.exchange(t, a)), nil)
			require.Equal(t, []string{"message 3", "message 2", "message 1"}, contents(t, page))
			require.Equal(t, "Harbour", second.must(t, 200, "GET", "/api/conversations/"+conversation, bearer(a.token), nil).text(t, "name"))
			require.InDelta(t, 4, second.send(t, a, conversation, "message 4").at(t, "seq"), 0)
			require.Equal(t, 409, second.call(t, "POST", "/api/auth/register", nobody, object{"agent_name": "Keeper"}).status)
			require.NoError(t, second.Stop())
		})
	}
}

func contents(t *testing.T, page answer) []string {
	t.Helper()
	messages, ok := page.at(t, "messages").([]any)
	require.True(t, ok, page.body)
	found := make([]string, len(messages))
	for i, m := range messages {
		found[i], _ = m.(object)["content"].(string)
	}
	return found
}

// engineAddress reads where the database engine listens from the log.
func engineAddress(t *testing.T, s *site) string {
	t.Helper()
	match := regexp.MustCompile(`uri="?mongodb://([0-9.:]+)`).FindStringSubmatch(s.Stderr())
	require.NotNil(t, match, s.Stderr())
	return match[1]
}

func listens(address string) bool {
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

func TestCtrlCLetsRequestsInFlightEnd(t *testing.T) {
	t.Parallel()
	s := newHome(t).start(t)
	address := strings.TrimPrefix(s.URL, "http://")
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	const body = `{"agent_name":"late-one"}`
	_, err = fmt.Fprintf(conn, "POST /api/auth/register HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"+
		"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n", address, len(body))
	require.NoError(t, err)
	reader := bufio.NewReader(conn)
	proceed, err := reader.ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, proceed, "100 Continue", "the request is being read")
	_, err = reader.ReadString('\n')
	require.NoError(t, err)

	require.NoError(t, s.Terminate())
	require.Eventually(t, func() bool { return !listens(address) }, 30*time.Second, 10*time.Millisecond)
	_, err = conn.Write([]byte(body))
	require.NoError(t, err)

	resp, err := http.ReadResponse(reader, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, resp.StatusCode)
	require.NoError(t, resp.Body.Close())
	require.NoError(t, s.Wait())
	require.Empty(t, s.Stderr(), "an orderly end has nothing to report")
}

func TestSecondStart(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	s := h.start(t)
	tests := map[string]struct {
		options platform.Options
		says    []string
	}{
		"on a port in use": {
			options: newHome(t).options("LISTEN=" + strings.TrimPrefix(s.URL, "http://")),
			says:    []string{"LISTEN=127.0.0.1:", "is taken", "LISTEN=127.0.0.1:9000"},
		},
		"on a data folder in use": {
			options: h.options(),
			says:    []string{"DATA_DIR=" + h.dir, "is in use", "DATA_DIR=.data2"},
		},
		"on a data folder that cannot be": {
			options: home{dir: filepath.Join("/dev/null", "data")}.options(),
			says:    []string{"DATA_DIR=/dev/null/data"},
		},
		"with settings that are no good": {
			options: newHome(t).options("LOG_LEVEL=LOUD"),
			says:    []string{"LOG_LEVEL"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := platform.Command(t.Context(), tt.options)
			require.EqualError(t, p.Run(), "exit status 1")
			require.Empty(t, p.Stdout())
			for _, part := range tt.says {
				require.Contains(t, p.Stderr(), part)
			}
			require.Equal(t, 1, strings.Count(p.Stderr(), "\n"), "one line: %s", p.Stderr())
		})
	}
}

func TestPlatformEndsWithItsEngine(t *testing.T) {
	t.Parallel()
	s := ownEngine(t).start(t)
	require.NoError(t, killChild(t, s.PID()))
	require.Error(t, s.Wait())
	require.Contains(t, s.Stderr(), "the database engine died")
}

// killChild ends the one child of a process.
func killChild(t *testing.T, parent int) error {
	t.Helper()
	out, _ := script(t, nil, "-c", fmt.Sprintf("ps -A -o pid=,ppid= | awk '$2 == %d { print $1 }'", parent))
	var pid int
	_, err := fmt.Sscan(out, &pid)
	require.NoError(t, err, out)
	child, err := os.FindProcess(pid)
	require.NoError(t, err)
	return child.Kill()
}
