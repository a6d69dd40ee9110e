package mail_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// findMailpit gives the program of the pinned SMTP server, which Go builds the
// first time and keeps in its build cache.
var findMailpit = sync.OnceValues(func() (string, error) {
	cmd := exec.Command("go", "-C", filepath.Join("..", "..", "..", "hack", "tools", "mailpit"), "tool", "-n", "mailpit")
	cmd.Env = append(os.Environ(), "GOWORK=off")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build mailpit: %w: %s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1], nil
})

// A mailpit is a real SMTP server that keeps what it takes.
type mailpit struct {
	port   int
	api    string
	client *http.Client
}

// startMailpit runs the server with extra flags until the test ends. A port that
// another program took in between is no failure: it tries others.
func startMailpit(t *testing.T, flags ...string) *mailpit {
	t.Helper()
	program, err := findMailpit()
	require.NoError(t, err)
	for range 3 {
		server, ended := runMailpit(t, program, flags)
		require.Eventually(t, func() bool { return server.ready() || isClosed(ended) }, 30*time.Second, 20*time.Millisecond)
		if !isClosed(ended) {
			return server
		}
	}
	require.Fail(t, "mailpit ends at once")
	return nil
}

func runMailpit(t *testing.T, program string, flags []string) (server *mailpit, ended <-chan struct{}) {
	t.Helper()
	smtp, api := freePort(t), freePort(t)
	args := append([]string{
		"--smtp", fmt.Sprintf("127.0.0.1:%d", smtp), "--listen", fmt.Sprintf("127.0.0.1:%d", api),
		"--database", filepath.Join(t.TempDir(), "mails.db"), "--disable-version-check", "--smtp-disable-rdns",
	}, flags...)
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, args...)
	var output strings.Builder
	cmd.Stdout, cmd.Stderr = &output, &output
	require.NoError(t, cmd.Start())
	waited := make(chan struct{})
	go func() {
		defer close(waited)
		_ = cmd.Wait() // killed on purpose
	}()
	server = &mailpit{
		port: smtp, api: fmt.Sprintf("http://127.0.0.1:%d", api), client: &http.Client{Timeout: 10 * time.Second},
	}
	t.Cleanup(func() {
		stop()
		<-waited
		server.client.CloseIdleConnections()
		if t.Failed() {
			t.Log(output.String())
		}
	})
	return server, waited
}

func (m *mailpit) ready() bool {
	conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", m.port), time.Second)
	if err != nil {
		return false
	}
	_ = conn.Close() // nothing was said
	resp, err := m.client.Get(m.api + "/readyz")
	if err != nil {
		return false
	}
	_ = resp.Body.Close() // nothing was written
	return resp.StatusCode == http.StatusOK
}

func isClosed(ended <-chan struct{}) bool {
	select {
	case <-ended:
		return true
	default:
		return false
	}
}

// mails gives the raw mails that the server has taken, newest first.
func (m *mailpit) mails(t *testing.T) []string {
	t.Helper()
	var list struct {
		Messages []struct{ ID string } `json:"messages"`
	}
	require.NoError(t, json.Unmarshal(m.get(t, "/api/v1/messages"), &list))
	raw := []string{}
	for _, message := range list.Messages {
		raw = append(raw, string(m.get(t, "/api/v1/message/"+message.ID+"/raw")))
	}
	return raw
}

func (m *mailpit) get(t *testing.T, path string) []byte {
	t.Helper()
	resp, err := m.client.Get(m.api + path)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return body
}

func freePort(t *testing.T) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}

// certificate writes a self-signed certificate for the loopback address.
func certificate(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	require.NoError(t, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600))
	return certFile, keyFile
}
