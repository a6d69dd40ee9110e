package token

import (
	"strings"
	"time"

	"chatplatform.io/svckit/fault"
)

const (
	// devPrefix marks the development tokens of local mode, and their ids.
	devPrefix = "dev:"
	// devLife is what a development token says of its end: it is made anew from
	// its name each time.
	devLife = 15 * time.Minute
)

// ErrDevName refuses a development token whose name is nobody's.
var ErrDevName = fault.ErrUnauthenticated.Say("The development token names no account.")

// DevClaims are those of an account's development token: all scopes.
func DevClaims(account string, now time.Time) *Claims {
	return &Claims{
		Subject: account, Scopes: AllScopes(), ID: devPrefix + account,
		IssuedAt: now, ExpiresAt: now.Add(devLife), AuthTime: now,
	}
}

// Dev reports whether the claims are those of a development token.
func (c *Claims) Dev() bool { return strings.HasPrefix(c.ID, devPrefix) }
