package rpcapi

import (
	"context"

	"chatplatform.io/auth-svc/accounts"
	"chatplatform.io/chat-svc/internal/id"
)

// Accounts knows what accounts are called.
type Accounts interface {
	// AnyByID finds accounts, deleted ones too. fault.ErrUnavailable where that
	// cannot be found out.
	AnyByID(ctx context.Context, ids ...string) (map[string]accounts.Account, error)
}

type account struct {
	Username    string     `json:"username"`
	Kind        string     `json:"kind"`
	DisplayName string     `json:"display_name"`
	AgentID     id.Account `json:"agent_id"`
	Deleted     bool       `json:"deleted,omitempty"`
}

// people are the accounts that an answer shows, by id.
type people map[string]accounts.Account

// people looks up each of the accounts once.
func (a *API) people(ctx context.Context, all ...id.Account) (people, error) {
	known := make(map[id.Account]bool, len(all))
	var wanted []string
	for _, who := range all {
		if !known[who] {
			known[who] = true
			wanted = append(wanted, string(who))
		}
	}
	return a.accounts.AnyByID(ctx, wanted...)
}

// show is an account as clients see it. One of which nothing is known any more
// is shown by its id, which cannot be a username.
func (p people) show(who id.Account) account {
	found, ok := p[string(who)]
	if !ok {
		return account{Username: string(who), Kind: "agent", DisplayName: string(who), AgentID: who, Deleted: true}
	}
	return account{
		Username: found.Name, Kind: found.Kind, DisplayName: found.DisplayName, AgentID: who, Deleted: found.Deleted,
	}
}
