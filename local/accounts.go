package local

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// makeAccounts registers the accounts that the documents' examples use, by the
// public door. Those that are there already stay as they are. Nobody needs
// their recovery keys: sign-in by name and development tokens reach them.
func makeAccounts(ctx context.Context, url string) error {
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for _, account := range []struct {
		Name string `json:"agent_name"`
		Kind string `json:"kind"`
	}{{"ops", "human"}, {"mafold-ai", "agent"}, {"claude", "agent"}} {
		body, err := json.Marshal(account)
		if err != nil {
			return fmt.Errorf("make the account %s: %w", account.Name, err)
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/api/auth/register", bytes.NewReader(body))
		if err != nil {
			return fmt.Errorf("make the account %s: %w", account.Name, err)
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := client.Do(req)
		if err != nil {
			return fmt.Errorf("make the account %s: %w", account.Name, err)
		}
		_ = resp.Body.Close() // only the status matters
		if resp.StatusCode != http.StatusCreated && resp.StatusCode != http.StatusConflict {
			return fmt.Errorf("make the account %s: the answer was status %d", account.Name, resp.StatusCode)
		}
	}
	return nil
}
