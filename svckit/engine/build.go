package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// The program that is built when there is no other: the MongoDB wire protocol
// on MongoDB's own storage engine.
const (
	crate   = "secantus-mdb"
	version = "0.5.3-beta.193"
	binary  = "secantusd-rs"
)

// Prepare makes sure that Start need not build, and returns the path of the
// program that it will run. The first call on a machine without mongod takes
// minutes, shown line by line on progress (nil hides them); processes that
// call at once build once. What a build lacks is named with what to install.
func Prepare(ctx context.Context, progress io.Writer) (path string, err error) {
	program, err := prepare(ctx, progress)
	if err != nil {
		return "", err
	}
	return program.path, nil
}

// build returns the cached program, building it first when it is not there.
func build(ctx context.Context, progress io.Writer) (path string, err error) {
	if progress == nil {
		progress = io.Discard
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the user's cache folder: %w", err)
	}
	shelf := filepath.Join(cache, "chatplatform", "engine")
	root := filepath.Join(shelf, version)
	path = filepath.Join(root, "bin", binary)
	if isFile(path) {
		return path, nil
	}
	if err := missing(ctx); err != nil {
		return "", err
	}
	if err := os.MkdirAll(shelf, 0o755); err != nil {
		return "", fmt.Errorf("make the engine's cache folder: %w", err)
	}
	lock, err := lockFile(ctx, root+".lock", func() {
		say(progress, "Another process is building the database engine; waiting for it.")
	})
	if err != nil {
		return "", fmt.Errorf("wait for the engine's build: %w", err)
	}
	defer func() { _ = lock.Close() }()
	if isFile(path) {
		return path, nil
	}
	if err := install(ctx, shelf, root, progress); err != nil {
		return "", fmt.Errorf("build the database engine: %w", err)
	}
	return path, nil
}

// install builds beside the final folder, so that a build cut short leaves
// nothing that looks whole.
func install(ctx context.Context, shelf, root string, progress io.Writer) error {
	scratch, err := os.MkdirTemp(shelf, version+".building-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(scratch) }()

	say(progress, "Building the database engine (%s %s) into %s; this happens once and takes about five minutes.", crate, version, root)
	last := &output{match: func(string) (string, bool) { return "", false }}
	cargo := exec.CommandContext(ctx, "cargo", "install", crate, "--version", version,
		"--locked", "--ignore-rust-version", "--root", scratch)
	cargo.Stdout = io.MultiWriter(last, progress)
	cargo.Stderr = cargo.Stdout
	cargo.Cancel = func() error { return cargo.Process.Signal(os.Interrupt) }
	cargo.WaitDelay = 10 * time.Second
	if err := cargo.Run(); err != nil {
		return fmt.Errorf("cargo install %s: %w; its last lines:\n%s", crate, err, last.tail())
	}
	if err := os.RemoveAll(root); err != nil {
		return err
	}
	return os.Rename(scratch, root)
}

// rustMinor is the oldest Rust 1.x that is known to build the engine.
const rustMinor = 95

// missing names everything that a build lacks, a line each. It is the list of
// what one needs: its tools bring their own libraries.
func missing(ctx context.Context) error {
	needs := []struct {
		programs []string // any one will do
		line     string
	}{
		{[]string{"cmake"}, "cmake is missing: install it (apt-get install cmake, brew install cmake)"},
		{[]string{"make"}, "make is missing: install it (apt-get install build-essential, xcode-select --install)"},
		{[]string{"cc", "gcc", "clang"}, "a C compiler is missing: install one (apt-get install build-essential, xcode-select --install)"},
	}
	var lines []error
	if line := lacksRust(ctx); line != "" {
		lines = append(lines, errors.New(line))
	}
	for _, need := range needs {
		if !anyOnPath(need.programs) {
			lines = append(lines, errors.New(need.line))
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return fmt.Errorf("there is no MONGODB_URI and no mongod on PATH, and the database engine cannot be built:\n%w", errors.Join(lines...))
}

func lacksRust(ctx context.Context) string {
	install := fmt.Sprintf("install Rust 1.%d or newer from https://rustup.rs", rustMinor)
	if !anyOnPath([]string{"cargo"}) {
		return "cargo is missing: " + install
	}
	said, err := exec.CommandContext(ctx, "cargo", "--version").Output()
	if err != nil {
		return "cargo --version fails (" + err.Error() + "): " + install
	}
	var major, minor int
	if _, err := fmt.Sscanf(string(said), "cargo %d.%d", &major, &minor); err == nil && major == 1 && minor < rustMinor {
		return fmt.Sprintf("cargo is 1.%d: %s", minor, install)
	}
	return ""
}

func anyOnPath(programs []string) bool {
	for _, name := range programs {
		if _, err := exec.LookPath(name); err == nil {
			return true
		}
	}
	return false
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

func say(w io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(w, format+"\n", args...)
}
