package restapi

import (
	"net/http"

	"github.com/gofiber/fiber/v2"

	"chatplatform.io/auth-svc/internal/access"
	"chatplatform.io/auth-svc/internal/identity"
	"chatplatform.io/auth-svc/internal/secret"
	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/httpserver"
)

type keyRequest struct {
	Name          string   `json:"name"`
	Scopes        []string `json:"scopes"`
	ExpiresInDays *int     `json:"expires_in_days"`
}

type createdKey struct {
	KeyID     string           `json:"key_id"`
	Name      string           `json:"name"`
	APIKey    string           `json:"api_key"`
	Scopes    []string         `json:"scopes"`
	ExpiresAt *httpserver.Time `json:"expires_at"`
	CreatedAt httpserver.Time  `json:"created_at"`
}

func createdOf(key identity.Key, value secret.Secret) createdKey {
	return createdKey{
		KeyID: key.ID, Name: key.Name, APIKey: value.Reveal(), Scopes: key.Scopes,
		ExpiresAt: httpserver.NullTime(key.ExpiresAt), CreatedAt: httpserver.Time(key.CreatedAt),
	}
}

func (a *API) postKey(c *fiber.Ctx) error {
	account, err := a.guard.RecoveryKey(c)
	if err != nil {
		return err
	}
	if err := own(c, account.ID); err != nil {
		return err
	}
	body, err := httpserver.Body[keyRequest](c)
	if err != nil {
		return err
	}
	key, value, err := a.identity.CreateKey(c.UserContext(), account.ID, identity.NewKey(body))
	if err != nil {
		return err
	}
	return secretly(c, created, createdOf(key, value))
}

type listedKey struct {
	KeyID      string           `json:"key_id"`
	Name       string           `json:"name"`
	Scopes     []string         `json:"scopes"`
	CreatedAt  httpserver.Time  `json:"created_at"`
	ExpiresAt  *httpserver.Time `json:"expires_at"`
	LastUsedAt *httpserver.Time `json:"last_used_at"`
	RevokedAt  *httpserver.Time `json:"revoked_at,omitempty"`
}

func (a *API) getKeys(c *fiber.Ctx) error {
	id, _, err := a.owner(c)
	if err != nil {
		return err
	}
	keys, err := a.identity.Keys(c.UserContext(), id)
	if err != nil {
		return err
	}
	listed := make([]listedKey, len(keys))
	for i, key := range keys {
		listed[i] = listedKey{
			KeyID: key.ID, Name: key.Name, Scopes: key.Scopes, CreatedAt: httpserver.Time(key.CreatedAt),
			ExpiresAt: httpserver.NullTime(key.ExpiresAt), LastUsedAt: httpserver.NullTime(key.LastUsedAt),
			RevokedAt: httpserver.NullTime(key.RevokedAt),
		}
	}
	return c.JSON(fiber.Map{"keys": listed})
}

// owner wants the account of the path itself, by its recovery key or a token;
// keyID is the key that the token was made from, "" for the recovery key.
func (a *API) owner(c *fiber.Ctx) (accountID, keyID string, err error) {
	if access.IsBasic(c) {
		account, err := a.guard.RecoveryKey(c)
		if err != nil {
			return "", "", err
		}
		return account.ID, "", own(c, account.ID)
	}
	claims, err := a.guard.Token(c)
	if err != nil {
		return "", "", err
	}
	return claims.Subject, claims.KeyID, own(c, claims.Subject)
}

// managed is owner for one key: a token manages only the key it was made from.
func (a *API) managed(c *fiber.Ctx) (accountID, keyID string, err error) {
	accountID, own, err := a.owner(c)
	if err != nil {
		return "", "", err
	}
	keyID = c.Params("key_id")
	if !secret.CheckID(secret.PrefixKeyID, keyID) {
		return "", "", fault.ErrNotFound.Say("There is no such key.")
	}
	if !access.IsBasic(c) && own != keyID {
		return "", "", fault.ErrForbidden.Say("A token manages only the key that it was made from; use the recovery key for others.")
	}
	return accountID, keyID, nil
}

func (a *API) deleteKey(c *fiber.Ctx) error {
	accountID, keyID, err := a.managed(c)
	if err != nil {
		return err
	}
	if err := a.revoking(accountID); err != nil {
		return err
	}
	if err := a.identity.RevokeKey(c.UserContext(), accountID, keyID); err != nil {
		return err
	}
	return c.SendStatus(http.StatusNoContent)
}

type rotateRequest struct {
	OverlapSeconds int `json:"overlap_seconds"`
}

func (a *API) postRotate(c *fiber.Ctx) error {
	accountID, keyID, err := a.managed(c)
	if err != nil {
		return err
	}
	if err := a.revoking(accountID); err != nil {
		return err
	}
	body, err := httpserver.OptionalBody[rotateRequest](c)
	if err != nil {
		return err
	}
	key, value, err := a.identity.RotateKey(c.UserContext(), accountID, keyID, body.OverlapSeconds)
	if err != nil {
		return err
	}
	return secretly(c, created, createdOf(key, value))
}
