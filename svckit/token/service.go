package token

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// A ServiceSource gets the tokens by which one service calls another's
// /internal/ paths: it presents the service's own credential to auth-svc and
// keeps the short-lived token for the audience.
type ServiceSource struct {
	url        string // auth-svc's internal door
	service    string
	secretFile string
	audience   string
	client     *http.Client
	now        func() time.Time

	mu      sync.Mutex
	token   string
	expires time.Time
}

// NewServiceSource presents the credential of service, kept in secretFile and
// read at each use so that it can be rotated, to the auth-svc whose internal
// door is at url, for tokens whose audience is the service to be called.
func NewServiceSource(url, service, secretFile, audience string, client *http.Client, now func() time.Time) *ServiceSource {
	return &ServiceSource{url: url, service: service, secretFile: secretFile, audience: audience, client: client, now: now}
}

// Token gives a token that is good for at least half a minute more.
func (s *ServiceSource) Token(ctx context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now().Add(30 * time.Second).Before(s.expires) {
		return s.token, nil
	}
	secret, err := os.ReadFile(s.secretFile)
	if err != nil {
		return "", fmt.Errorf("read the credential of %s: %w", s.service, err)
	}
	answer, err := s.exchange(ctx, strings.TrimSpace(string(secret)))
	if err != nil {
		return "", fmt.Errorf("get a token for %s: %w", s.audience, err)
	}
	s.token = answer.AccessToken
	s.expires = s.now().Add(time.Duration(answer.ExpiresIn) * time.Second)
	return s.token, nil
}

// Forget drops a token that the service called has refused, so that the next
// call fetches another.
func (s *ServiceSource) Forget(refused string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token == refused {
		s.expires = time.Time{}
	}
}

type serviceAnswer struct {
	AccessToken string `json:"access_token"`
	ExpiresIn   int    `json:"expires_in"`
}

func (s *ServiceSource) exchange(ctx context.Context, secret string) (serviceAnswer, error) {
	var answer serviceAnswer
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	body, err := json.Marshal(map[string]string{"grant_type": "client_credentials", "audience": s.audience})
	if err != nil {
		return answer, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/internal/token", bytes.NewReader(body))
	if err != nil {
		return answer, err
	}
	req.SetBasicAuth(s.service, secret)
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.client.Do(req)
	if err != nil {
		return answer, err
	}
	defer func() { _ = resp.Body.Close() }() // nothing was written
	if resp.StatusCode != http.StatusOK {
		return answer, fmt.Errorf("auth-svc answered with status %d", resp.StatusCode)
	}
	return answer, json.NewDecoder(io.LimitReader(resp.Body, keysMaxBytes)).Decode(&answer)
}
