//go:build !unix

package local

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// lockFolder makes the data folder. A file that is open cannot be opened for
// writing again on the systems that this is for.
func lockFolder(dir string) (io.Closer, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("DATA_DIR=%s cannot be made: %w", dir, err)
	}
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("DATA_DIR=%s cannot be locked: %w", dir, err)
	}
	return file, nil
}
