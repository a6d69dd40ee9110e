// Package folder reads a mounted folder of small secret files and follows its
// changes, so that keys can be rotated without a restart.
package folder

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The most that Read takes: these folders hold a handful of keys, and anything
// larger is a wrong mount.
const (
	MaxFiles = 64
	MaxBytes = 64 << 10 // per file
)

// dataLink is the symlink that Kubernetes swaps to change all files of a mount
// at once.
const dataLink = "..data"

const readAttempts = 3

// Files maps the name of a file to its content.
type Files map[string][]byte

// Names gives the names in ascending byte order.
func (f Files) Names() []string {
	names := make([]string, 0, len(f))
	for name := range f {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (f Files) equal(other Files) bool {
	if len(f) != len(other) {
		return false
	}
	for name, content := range f {
		theirs, ok := other[name]
		if !ok || !bytes.Equal(content, theirs) {
			return false
		}
	}
	return true
}

// Read gives the files of dir. Sub-folders and names that begin with a dot are
// passed over. In a folder mounted by Kubernetes all files come from one and
// the same state of the mount. It fails when the folder is absent, holds more
// than MaxFiles files, or a file is larger than MaxBytes.
func Read(dir string) (Files, error) {
	var files Files
	var err error
	for range readAttempts {
		files, err = readOnce(dir)
		// A mount swapped in between has taken the old state away.
		if !errors.Is(err, fs.ErrNotExist) {
			return files, err
		}
	}
	return nil, err
}

func readOnce(dir string) (Files, error) {
	root, err := filepath.EvalSymlinks(filepath.Join(dir, dataLink))
	if errors.Is(err, fs.ErrNotExist) {
		root, err = dir, nil
	}
	if err != nil {
		return nil, fmt.Errorf("resolve the mount %s: %w", dir, err)
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil, fmt.Errorf("read folder %s: %w", dir, err)
	}
	files := Files{}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		content, isFile, err := readFile(filepath.Join(root, entry.Name()))
		if err != nil {
			return nil, err
		}
		if !isFile {
			continue
		}
		if len(files) == MaxFiles {
			return nil, fmt.Errorf("folder %s holds more than %d files", dir, MaxFiles)
		}
		files[entry.Name()] = content
	}
	return files, nil
}

func readFile(path string) (content []byte, isFile bool, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, false, fmt.Errorf("look at %s: %w", path, err)
	}
	// Opening a pipe would wait for its writer for ever.
	if !info.Mode().IsRegular() {
		return nil, false, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, false, fmt.Errorf("open %s: %w", path, err)
	}
	defer file.Close()
	content, err = io.ReadAll(io.LimitReader(file, MaxBytes+1))
	if err != nil {
		return nil, false, fmt.Errorf("read %s: %w", path, err)
	}
	if len(content) > MaxBytes {
		return nil, false, fmt.Errorf("%s is larger than %d bytes", path, MaxBytes)
	}
	return content, true, nil
}

// IsEmpty reports whether dir is absent or holds no file that Read would give.
func IsEmpty(dir string) (bool, error) {
	files, err := Read(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	return len(files) == 0, err
}
