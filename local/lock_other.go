//go:build !unix

package local

import (
	"errors"
	"io"
)

// lockFolder refuses: without flock nothing would keep two platforms from one
// folder.
func lockFolder(string) (io.Closer, error) {
	return nil, errors.New("local mode runs on Unix systems only, where it can lock DATA_DIR; elsewhere use a container or WSL")
}
