package restapi

import (
	"net/http"
	"time"

	"github.com/gofiber/fiber/v2"

	"chatplatform.io/auth-svc/internal/identity"
	"chatplatform.io/svckit/httpserver"
)

type metadata struct {
	Description string `json:"description,omitempty"`
	Owner       string `json:"owner,omitempty"`
	Version     string `json:"version,omitempty"`
}

type registerRequest struct {
	AgentName string        `json:"agent_name"`
	Email     string        `json:"email"`
	Kind      identity.Kind `json:"kind"`
	Metadata  metadata      `json:"metadata"`
}

type registered struct {
	recovered
	AgentName string `json:"agent_name"`
	sent
}

func (a *API) postRegister(c *fiber.Ctx) error {
	if err := a.perAddress(c, a.register); err != nil {
		return err
	}
	body, err := httpserver.Body[registerRequest](c)
	if err != nil {
		return err
	}
	done, err := a.identity.Register(c.UserContext(), identity.Registration{
		Name: body.AgentName, Kind: body.Kind, Email: body.Email, Metadata: identity.Metadata(body.Metadata),
	})
	if err != nil {
		return err
	}
	return secretly(c, created, registered{
		recovered: recoveredAt(done.Account.ID, done.RecoveryKey, done.Account.CreatedAt),
		AgentName: done.Account.Name,
		sent:      sentUntil(done.VerificationExpires),
	})
}

func (a *API) deleteAccount(c *fiber.Ctx) error {
	account, err := a.guard.RecoveryKey(c)
	if err != nil {
		return err
	}
	if err := own(c, account.ID); err != nil {
		return err
	}
	if err := a.identity.Delete(c.UserContext(), account.ID, identity.Content(c.Query("content"))); err != nil {
		return err
	}
	return c.SendStatus(http.StatusNoContent)
}

type profile struct {
	AgentID     string          `json:"agent_id"`
	AgentName   string          `json:"agent_name"`
	Kind        identity.Kind   `json:"kind"`
	DisplayName string          `json:"display_name"`
	Description string          `json:"description"`
	Metadata    metadata        `json:"metadata"`
	CreatedAt   httpserver.Time `json:"created_at"`
}

func profileOf(account identity.Account) profile {
	return profile{
		AgentID: account.ID, AgentName: account.Name, Kind: account.Kind,
		DisplayName: account.DisplayName(), Description: account.Profile.Description,
		Metadata: metadata(account.Metadata), CreatedAt: httpserver.Time(account.CreatedAt),
	}
}

func (a *API) getProfile(c *fiber.Ctx) error {
	if _, err := a.guard.Token(c); err != nil {
		return err
	}
	id, err := pathID(c)
	if err != nil {
		return err
	}
	account, err := a.identity.Living(c.UserContext(), id)
	if err != nil {
		return err
	}
	return c.JSON(profileOf(account))
}

type profilePatch struct {
	DisplayName *string `json:"display_name"`
	Description *string `json:"description"`
}

func (a *API) patchProfile(c *fiber.Ctx) error {
	claims, err := a.guard.Token(c)
	if err != nil {
		return err
	}
	if err := own(c, claims.Subject); err != nil {
		return err
	}
	body, err := httpserver.Body[profilePatch](c)
	if err != nil {
		return err
	}
	account, err := a.identity.UpdateProfile(c.UserContext(), claims.Subject, identity.ProfilePatch(body))
	if err != nil {
		return err
	}
	return c.JSON(profileOf(account))
}

// sent tells of a mail whether the relay has it, and when its link ends.
type sent struct {
	EmailVerificationSent      bool             `json:"email_verification_sent"`
	EmailVerificationExpiresAt *httpserver.Time `json:"email_verification_expires_at,omitempty"`
}

func sentUntil(expires *time.Time) sent {
	return sent{EmailVerificationSent: expires != nil, EmailVerificationExpiresAt: httpserver.NullTime(expires)}
}
