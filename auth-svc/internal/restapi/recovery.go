package restapi

import (
	"net/http"
	"time"

	"github.com/gofiber/fiber/v2"

	"chatplatform.io/auth-svc/internal/access"
	"chatplatform.io/auth-svc/internal/secret"
	"chatplatform.io/svckit/httpserver"
)

type recovered struct {
	AgentID     string          `json:"agent_id"`
	RecoveryKey string          `json:"recovery_key"`
	CreatedAt   httpserver.Time `json:"created_at"`
	Warning     string          `json:"warning"`
}

func recoveredAt(id string, key secret.Secret, at time.Time) recovered {
	return recovered{AgentID: id, RecoveryKey: key.Reveal(), CreatedAt: httpserver.Time(at), Warning: warning}
}

type recoverRequest struct {
	AgentID    string `json:"agent_id"`
	RevokeKeys bool   `json:"revoke_keys"`
}

// postRecover has two callers: one that has the recovery key, and one that
// lost it and asks for a code by e-mail.
func (a *API) postRecover(c *fiber.Ctx) error {
	if !access.IsBasic(c) {
		return a.requestCode(c)
	}
	account, err := a.guard.RecoveryKey(c)
	if err != nil {
		return err
	}
	body, err := httpserver.OptionalBody[recoverRequest](c)
	if err != nil {
		return err
	}
	if err := a.revoking(account.ID); err != nil {
		return err
	}
	key, err := a.identity.ReplaceRecoveryKey(c.UserContext(), account, body.RevokeKeys)
	if err != nil {
		return err
	}
	return secretly(c, created, recoveredAt(account.ID, key, a.now()))
}

func (a *API) requestCode(c *fiber.Ctx) error {
	if err := a.perAddress(c, a.mail); err != nil {
		return err
	}
	body, err := httpserver.OptionalBody[recoverRequest](c)
	if err != nil {
		return err
	}
	if err := a.identity.RequestRecovery(c.UserContext(), body.AgentID); err != nil {
		return err
	}
	return c.Status(http.StatusAccepted).JSON(status{"accepted"})
}

type confirmRequest struct {
	AgentID string `json:"agent_id"`
	Code    string `json:"code"`
}

func (a *API) postConfirm(c *fiber.Ctx) error {
	body, err := httpserver.Body[confirmRequest](c)
	if err != nil {
		return err
	}
	var key secret.Secret
	err = a.guard.Slowed(c, body.AgentID, func() (err error) {
		key, err = a.identity.ConfirmRecovery(c.UserContext(), body.AgentID, body.Code)
		return err
	})
	if err != nil {
		return err
	}
	return secretly(c, created, recoveredAt(body.AgentID, key, a.now()))
}
