package secret

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"regexp"

	"chatplatform.io/auth-svc/internal/folder"
)

const (
	minServiceSecret = 32 // bytes
	maxServiceLive   = 4  // secrets of one service at a time
)

// Services knows the secrets by which the platform's own services prove
// themselves, from a mounted folder, which it follows. A file's name is the
// service's; every line in it, at least 32 bytes, is a secret that is accepted:
// two while one replaces the other.
//
// The methods are safe for concurrent use.
type Services struct {
	watched *folder.Watched[map[string][][sha256.Size]byte]
}

// OpenServices reads the secrets in dir and follows the folder until Close. The
// setting names what the operator must change when the folder is no good.
func OpenServices(dir, setting string, options folder.Options) (*Services, error) {
	watched, err := folder.Watch(dir, parseServices, options)
	if err != nil {
		return nil, fmt.Errorf("service credentials (%s=%s): %w%s", setting, dir, err,
			adviceFor(err, fmt.Sprintf("make one for each service with: mkdir -p %s && openssl rand -hex 32 > %s/<service>", dir, dir)))
	}
	return &Services{watched}, nil
}

// Close ends the following of the folder.
func (s *Services) Close() { s.watched.Close() }

// Verify reports whether text is a secret of the service, in constant time. An
// unknown service is false.
func (s *Services) Verify(service string, given Secret) bool {
	sum := sha256.Sum256([]byte(given.text))
	match := 0
	for _, live := range s.watched.Get()[service] {
		match |= subtle.ConstantTimeCompare(sum[:], live[:])
	}
	return match == 1
}

// GenerateService makes the file service in dir with a random secret, with mode
// 0600, unless there is one.
func GenerateService(dir, service string, random io.Reader) error {
	if !isServiceName(service) {
		return fmt.Errorf("service name %q is not usable as a file name", service)
	}
	text, err := NewMaker(random).text(base62, minServiceSecret)
	if err != nil {
		return err
	}
	_, err = folder.MakeOnce(dir, service, []byte(text+"\n"))
	return err
}

func parseServices(files folder.Files) (map[string][][sha256.Size]byte, error) {
	services := make(map[string][][sha256.Size]byte, len(files))
	for _, name := range files.Names() {
		if !isServiceName(name) {
			return nil, fmt.Errorf("file %q is not named by a service", name)
		}
		for line := range bytes.Lines(files[name]) {
			line = bytes.TrimSpace(line)
			if len(line) == 0 {
				continue
			}
			if len(line) < minServiceSecret {
				return nil, fmt.Errorf("the secret of service %s has %d bytes; at least %d are needed", name, len(line), minServiceSecret)
			}
			services[name] = append(services[name], sha256.Sum256(line))
		}
		if n := len(services[name]); n == 0 || n > maxServiceLive {
			return nil, fmt.Errorf("service %s has %d secrets; 1 to %d are needed", name, n, maxServiceLive)
		}
	}
	if len(services) == 0 {
		return nil, errNoFile
	}
	return services, nil
}

func isServiceName(name string) bool {
	return regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`).MatchString(name)
}
