package secret

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"chatplatform.io/auth-svc/internal/folder"
)

const (
	minPepper  = 32 // bytes
	maxPeppers = 16
	activeFile = "active"
)

// Hashed is what is stored of a secret: the HMAC-SHA-256 (32 bytes) and the
// version of the pepper that made it.
type Hashed struct {
	Hash    []byte
	Version int
}

// Peppers hashes secrets under the peppers of a mounted folder, which it
// follows. A file's name is the version, a whole number from 1 without leading
// zeros; its content, less one newline at the end, is the pepper, at least 32
// bytes. New hashes are made with the highest version, or with the one that the
// file "active" names: with it, a new pepper can reach every replica before the
// first hash needs it. All versions in the folder verify.
//
// The methods are safe for concurrent use.
type Peppers struct {
	watched *folder.Watched[pepperSet]
}

type pepper struct {
	version int
	key     []byte
}

// pepperSet is in the order of Candidates: the active one, then descending.
type pepperSet []pepper

// OpenPeppers reads the peppers in dir and follows the folder until Close. The
// setting names what the operator must change when there is no usable pepper.
func OpenPeppers(dir, setting string, options folder.Options) (*Peppers, error) {
	watched, err := folder.Watch(dir, parsePeppers, options)
	if err != nil {
		return nil, fmt.Errorf("peppers (%s=%s): %w%s", setting, dir, err, adviceFor(err, pepperAdvice(dir)))
	}
	return &Peppers{watched}, nil
}

// Close ends the following of the folder.
func (p *Peppers) Close() { p.watched.Close() }

// Hash gives what to store of s.
func (p *Peppers) Hash(s Secret) Hashed { return p.watched.Get()[0].hash(s) }

// Candidates gives the hash of s under every live pepper, the one for new
// hashes first: a stored hash of s is one of them.
func (p *Peppers) Candidates(s Secret) []Hashed {
	set := p.watched.Get()
	candidates := make([]Hashed, len(set))
	for i, pepper := range set {
		candidates[i] = pepper.hash(s)
	}
	return candidates
}

// Verify reports whether h was made of s, in constant time. A version that is
// not live, as in the zero Hashed, costs the same time and is false.
func (p *Peppers) Verify(s Secret, h Hashed) bool {
	set := p.watched.Get()
	at := slices.IndexFunc(set, func(pepper pepper) bool { return pepper.version == h.Version })
	known := at >= 0
	return hmac.Equal(set[max(at, 0)].hash(s).Hash, h.Hash) && known
}

// GeneratePepper makes version 1 in dir, with mode 0600, when the folder is
// absent or empty; else it does nothing.
func GeneratePepper(dir string, random io.Reader) error {
	empty, err := folder.IsEmpty(dir)
	if err != nil || !empty {
		return err
	}
	key := make([]byte, minPepper)
	if _, err := io.ReadFull(random, key); err != nil {
		return fmt.Errorf("read random bytes: %w", err)
	}
	_, err = folder.MakeOnce(dir, "1", fmt.Appendf(nil, "%x\n", key))
	return err
}

func (p pepper) hash(s Secret) Hashed {
	mac := hmac.New(sha256.New, p.key)
	mac.Write([]byte(s.text))
	return Hashed{Hash: mac.Sum(nil), Version: p.version}
}

func parsePeppers(files folder.Files) (pepperSet, error) {
	var set pepperSet
	for _, name := range files.Names() {
		if name == activeFile {
			continue
		}
		version, err := strconv.Atoi(name)
		if err != nil || version < 1 || strconv.Itoa(version) != name {
			return nil, fmt.Errorf("file %q is not named by a version (1, 2, ...)", name)
		}
		key := bytes.TrimSuffix(files[name], []byte("\n"))
		if len(key) < minPepper {
			return nil, fmt.Errorf("pepper %d has %d bytes; at least %d are needed", version, len(key), minPepper)
		}
		set = append(set, pepper{version, key})
	}
	if len(set) == 0 {
		return nil, errNoFile
	}
	if len(set) > maxPeppers {
		return nil, fmt.Errorf("more than %d peppers", maxPeppers)
	}
	slices.SortFunc(set, func(a, b pepper) int { return b.version - a.version })
	return set.activate(files)
}

// activate puts the pepper that the file "active" names first.
func (set pepperSet) activate(files folder.Files) (pepperSet, error) {
	content, named := files[activeFile]
	if !named {
		return set, nil
	}
	for i, pepper := range set {
		if strconv.Itoa(pepper.version) == strings.TrimSpace(string(content)) {
			return slices.Concat(set[i:i+1], set[:i], set[i+1:]), nil
		}
	}
	// The content is not shown: it may be a pepper in the wrong file.
	return nil, errors.New(`the file "active" names no pepper of the folder`)
}

var errNoFile = errors.New("the folder holds no file")

func adviceFor(err error, advice string) string {
	if errors.Is(err, errNoFile) || errors.Is(err, fs.ErrNotExist) {
		return "; " + advice
	}
	return ""
}

func pepperAdvice(dir string) string {
	return fmt.Sprintf("make one with: mkdir -p %s && openssl rand -hex 32 > %s/1", dir, dir)
}
