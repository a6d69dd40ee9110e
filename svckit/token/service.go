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

	fetching flight[string]

	mu      sync.Mutex
	token   string
	expires time.Time
	failure error // of the last fetch
	failed  time.Time
}

// failureAge is how long a failure to get a token is everybody's answer.
const failureAge = time.Second

// NewServiceSource presents the credential of service, kept in secretFile and
// read at each use so that it can be rotated, to the auth-svc whose internal
// door is at url, for tokens whose audience is the service to be called.
func NewServiceSource(url, service, secretFile, audience string, client *http.Client, now func() time.Time) *ServiceSource {
	return &ServiceSource{url: url, service: service, secretFile: secretFile, audience: audience, client: client, now: now}
}

// Token gives a token that is good for at least half a minute more. All who
// wait for one wait for the same fetch, none longer than its ctx; a failure is
// everybody's answer for a second.
func (s *ServiceSource) Token(ctx context.Context) (string, error) {
	raw, err := s.kept()
	if raw == "" && err == nil {
		fetching, _ := s.fetching.join(func() (string, error) { return s.refresh(ctx) })
		raw, err = fetching.wait(ctx)
	}
	if err != nil {
		return "", fmt.Errorf("get a token for %s: %w", s.audience, err)
	}
	return raw, nil
}

// kept gives the token at hand, or what the last fetch failed with; neither
// when it is time to fetch.
func (s *ServiceSource) kept() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if now.Add(30 * time.Second).Before(s.expires) {
		return s.token, nil
	}
	if s.failure != nil && now.Sub(s.failed) < failureAge {
		return "", s.failure
	}
	return "", nil
}

func (s *ServiceSource) refresh(ctx context.Context) (string, error) {
	if raw, err := s.kept(); raw != "" || err != nil {
		return raw, err // a fetch ended since the caller looked
	}
	answer, err := s.exchange(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failure = err
	if err != nil {
		s.failed = s.now()
		return "", err
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

func (s *ServiceSource) exchange(ctx context.Context) (serviceAnswer, error) {
	var answer serviceAnswer
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
	defer cancel()
	secret, err := os.ReadFile(s.secretFile)
	if err != nil {
		return answer, fmt.Errorf("read the credential of %s: %w", s.service, err)
	}
	body, err := json.Marshal(map[string]string{"grant_type": "client_credentials", "audience": s.audience})
	if err != nil {
		return answer, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/internal/token", bytes.NewReader(body))
	if err != nil {
		return answer, err
	}
	req.SetBasicAuth(s.service, strings.TrimSpace(string(secret)))
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
