package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// MakeOnce writes the file name in dir unless there is one already, and reports
// whether it did. The folder is made when absent (mode 0700); the file has mode
// 0600 and is complete and on disk when its name appears. Of two processes that
// race, one makes the file and the other leaves it.
func MakeOnce(dir, name string, content []byte) (made bool, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return false, fmt.Errorf("make folder %s: %w", dir, err)
	}
	temporary, err := writeTemporary(dir, content)
	if err != nil {
		return false, err
	}
	defer os.Remove(temporary)
	path := filepath.Join(dir, name)
	// A link, unlike a rename, never replaces what another process made first.
	if err := os.Link(temporary, path); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return false, nil
		}
		return false, fmt.Errorf("make %s: %w", path, err)
	}
	return true, syncFolder(dir)
}

// Replace writes the file name in dir, in place of any earlier one. The folder
// must exist; the file has mode 0600 and readers see the old or the new content,
// never a part.
func Replace(dir, name string, content []byte) error {
	temporary, err := writeTemporary(dir, content)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, name)
	if err := os.Rename(temporary, path); err != nil {
		return errors.Join(fmt.Errorf("replace %s: %w", path, err), os.Remove(temporary))
	}
	return syncFolder(dir)
}

func writeTemporary(dir string, content []byte) (path string, err error) {
	file, err := os.CreateTemp(dir, ".new-*") // mode 0600; Read passes over it
	if err != nil {
		return "", fmt.Errorf("make a file in %s: %w", dir, err)
	}
	_, err = file.Write(content)
	err = errors.Join(err, file.Sync(), file.Close())
	if err != nil {
		return "", errors.Join(fmt.Errorf("write %s: %w", file.Name(), err), os.Remove(file.Name()))
	}
	return file.Name(), nil
}

func syncFolder(dir string) error {
	folder, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("open folder %s: %w", dir, err)
	}
	if err := errors.Join(folder.Sync(), folder.Close()); err != nil {
		return fmt.Errorf("sync folder %s: %w", dir, err)
	}
	return nil
}
