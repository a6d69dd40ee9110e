package signing

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"chatplatform.io/auth-svc/internal/folder"
)

const (
	keySuffix  = ".pem"
	activeFile = "active"
	// maxKeys keeps the key set small; a rotation needs two.
	maxKeys = 16
)

var errNoKey = errors.New("the folder holds no key")

// keySet is one state of the folder, never changed.
type keySet struct {
	active   string
	keys     map[string]ed25519.PrivateKey
	public   map[string]ed25519.PublicKey
	document Document
}

// A Document is a JSON Web Key Set (RFC 7517) of Ed25519 keys (RFC 8037), ready
// to be served. Callers share Body and must not change it.
type Document struct {
	Body []byte
	// ETag is the strong validator of Body, quotes included.
	ETag string
}

type jwk struct {
	KeyType   string `json:"kty"`
	Curve     string `json:"crv"`
	Algorithm string `json:"alg"`
	Use       string `json:"use"`
	ID        string `json:"kid"`
	X         string `json:"x"`
}

func parse(files folder.Files) (*keySet, error) {
	set := &keySet{keys: map[string]ed25519.PrivateKey{}, public: map[string]ed25519.PublicKey{}}
	jwks := []jwk{}
	for _, name := range files.Names() { // ascending: the last one is active
		if name == activeFile {
			continue
		}
		kid, isKey := strings.CutSuffix(name, keySuffix)
		if !isKey || !isKID(kid) {
			return nil, fmt.Errorf("file %q is neither <kid>.pem nor active", name)
		}
		key, err := parseKey(files[name])
		if err != nil {
			return nil, fmt.Errorf("file %q: %w", name, err)
		}
		public := ed25519.PublicKey(key[ed25519.PrivateKeySize-ed25519.PublicKeySize:])
		set.keys[kid], set.public[kid], set.active = key, public, kid
		jwks = append(jwks, jwk{
			KeyType: "OKP", Curve: "Ed25519", Algorithm: "EdDSA", Use: "sig",
			ID: kid, X: base64.RawURLEncoding.EncodeToString(public),
		})
	}
	if len(set.keys) == 0 {
		return nil, errNoKey
	}
	if len(set.keys) > maxKeys {
		return nil, fmt.Errorf("more than %d keys", maxKeys)
	}
	if err := set.activate(files); err != nil {
		return nil, err
	}
	return set, set.publish(jwks)
}

// activate follows the file "active", which may be absent.
func (set *keySet) activate(files folder.Files) error {
	content, named := files[activeFile]
	if !named {
		return nil
	}
	kid := strings.TrimSpace(string(content))
	if _, ok := set.keys[kid]; !ok {
		// The content is not shown: it may be a key in the wrong file.
		return errors.New(`the file "active" names no key of the folder`)
	}
	set.active = kid
	return nil
}

func (set *keySet) publish(jwks []jwk) error {
	body, err := json.Marshal(map[string][]jwk{"keys": jwks})
	if err != nil {
		return fmt.Errorf("encode the key set: %w", err)
	}
	sum := sha256.Sum256(body)
	set.document = Document{Body: body, ETag: `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`}
	return nil
}

// parseKey reads one PEM block. What the decoders say is not passed on: it could
// quote the key.
func parseKey(content []byte) (ed25519.PrivateKey, error) {
	block, rest := pem.Decode(content)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, errors.New(`no PEM block "PRIVATE KEY" (PKCS#8)`)
	}
	if len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("more than one PEM block")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("the PEM block is not a PKCS#8 private key")
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("a key of type %T; Ed25519 is needed", parsed)
	}
	return key, nil
}

func isKID(text string) bool {
	return regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$`).MatchString(text)
}
