// Package signing holds the Ed25519 keys by which auth-svc signs access tokens:
// it reads them from a mounted folder, follows the folder, and publishes their
// public halves.
package signing

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"

	"github.com/golang-jwt/jwt/v5"

	"chatplatform.io/auth-svc/internal/folder"
	"chatplatform.io/svckit/token"
)

// Keys signs with the active key of a folder and knows all its keys. Each file
// <kid>.pem holds one PKCS#8 Ed25519 key, where kid is 1 to 64 letters, digits,
// dots, hyphens or underscores; the file "active" names the kid that signs.
// Without it the last kid in byte order does. All keys are published, so that a
// rotation is: add the new key, wait until every verifier has read the key set,
// name it in "active", wait until the last token of the old key has expired,
// take the old key away.
//
// The methods are safe for concurrent use; a broken new state of the folder is
// refused and the last good one stays.
type Keys struct {
	watched *folder.Watched[*keySet]
}

// Open reads the keys in dir and follows the folder until Close. The setting
// names what the operator must change when there is no usable key.
func Open(dir, setting string, options folder.Options) (*Keys, error) {
	watched, err := folder.Watch(dir, parse, options)
	if err == nil {
		return &Keys{watched}, nil
	}
	err = fmt.Errorf("signing keys (%s=%s): %w", setting, dir, err)
	if errors.Is(err, errNoKey) || errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w; make one with: mkdir -p %s && openssl genpkey -algorithm ed25519 -out %s/1.pem", err, dir, dir)
	}
	return nil, err
}

// Close ends the following of the folder.
func (k *Keys) Close() { k.watched.Close() }

// Sign makes a JWT of claims, signed by the active key (EdDSA, RFC 8037), with
// the header typ "at+jwt" (RFC 9068) and the key's kid.
func (k *Keys) Sign(claims jwt.Claims) (string, error) {
	set := k.watched.Get()
	unsigned := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims)
	unsigned.Header["typ"] = token.Type
	unsigned.Header["kid"] = set.active
	signed, err := unsigned.SignedString(set.keys[set.active])
	if err != nil {
		return "", fmt.Errorf("sign with key %s: %w", set.active, err)
	}
	return signed, nil
}

// Key gives the public key of kid, or token.ErrUnknownKey. With it, Keys is the
// token.KeySource of auth-svc itself.
func (k *Keys) Key(_ context.Context, kid string) (ed25519.PublicKey, error) {
	key, ok := k.watched.Get().public[kid]
	if !ok {
		return nil, token.ErrUnknownKey
	}
	return key, nil
}

// JWKS gives the published key set.
func (k *Keys) JWKS() Document { return k.watched.Get().document }
