package authsvc

import (
	"crypto/rand"
	"fmt"
	"time"

	"chatplatform.io/auth-svc/internal/secret"
	"chatplatform.io/auth-svc/internal/signing"
)

// GenerateSecrets makes what the folders of a Config lack: a signing key, a
// pepper, and a credential for each of the services named. What is there stays
// as it is. The folders are made with mode 0700, the files with 0600.
func GenerateSecrets(signingDir, peppersDir, servicesDir string, now time.Time, services ...string) error {
	if err := signing.Generate(signingDir, rand.Reader, now); err != nil {
		return fmt.Errorf("make a signing key: %w", err)
	}
	if err := secret.GeneratePepper(peppersDir, rand.Reader); err != nil {
		return fmt.Errorf("make a pepper: %w", err)
	}
	for _, service := range services {
		if err := secret.GenerateService(servicesDir, service, rand.Reader); err != nil {
			return fmt.Errorf("make the credential of %s: %w", service, err)
		}
	}
	return nil
}
