package signing

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"time"

	"chatplatform.io/auth-svc/internal/folder"
)

// Generate makes a first key in dir, with mode 0600, when the folder is absent
// or empty; else it does nothing. The kid is now's second in UTC and 8 random
// characters, so that later keys sort behind earlier ones.
func Generate(dir string, random io.Reader, now time.Time) error {
	empty, err := folder.IsEmpty(dir)
	if err != nil || !empty {
		return err
	}
	seed := make([]byte, ed25519.SeedSize)
	suffix := make([]byte, 4)
	for _, part := range [][]byte{seed, suffix} {
		if _, err := io.ReadFull(random, part); err != nil {
			return fmt.Errorf("read random bytes: %w", err)
		}
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(ed25519.NewKeyFromSeed(seed))
	if err != nil {
		return fmt.Errorf("encode the key: %w", err)
	}
	name := now.UTC().Format("20060102T150405Z") + "-" + hex.EncodeToString(suffix) + keySuffix
	_, err = folder.MakeOnce(dir, name, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}))
	return err
}
