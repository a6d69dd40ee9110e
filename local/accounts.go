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
// public door, and gives them the names that those show. Those that are there
// already stay as they are. Nobody needs their recovery keys: sign-in by name
// and development tokens reach them.
func makeAccounts(ctx context.Context, url string) error {
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for _, account := range []struct {
		Name    string `json:"agent_name"`
		Kind    string `json:"kind"`
		display string
	}{{"ops", "human", "Ops"}, {"mafold-ai", "agent", "Mafold AI"}, {"claude", "agent", "Claude"}} {
		var made struct {
			ID string `json:"agent_id"`
		}
		status, err := call(ctx, client, http.MethodPost, url+"/api/auth/register", "", account, &made)
		if err == nil && status == http.StatusConflict {
			continue
		}
		if err == nil && status == http.StatusCreated {
			shown := map[string]string{"display_name": account.display}
			status, err = call(ctx, client, http.MethodPatch, url+"/api/agents/"+made.ID+"/profile", "dev:"+account.Name, shown, &made)
		}
		if err != nil {
			return fmt.Errorf("make the account %s: %w", account.Name, err)
		}
		if status != http.StatusOK {
			return fmt.Errorf("make the account %s: the answer was status %d", account.Name, status)
		}
	}
	return nil
}

// call sends JSON and decodes the answer into result.
func call(ctx context.Context, client *http.Client, method, url, token string, body, result any) (status int, err error) {
	encoded, err := json.Marshal(body)
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(encoded))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }() // what was to be read was read
	return resp.StatusCode, json.NewDecoder(resp.Body).Decode(result)
}
