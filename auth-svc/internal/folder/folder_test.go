package folder_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"chatplatform.io/auth-svc/internal/folder"
)

const soon = 30 * time.Second // generous: reached only when a test fails

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
}

// mount lays files out as Kubernetes does: state/..data -> ..<state>, and every
// name a link through ..data. Calling it again swaps the state.
func mount(t *testing.T, dir, state string, files map[string]string) {
	t.Helper()
	target := ".." + state
	require.NoError(t, os.Mkdir(filepath.Join(dir, target), 0o700))
	for name, content := range files {
		write(t, filepath.Join(dir, target), name, content)
		link := filepath.Join(dir, name)
		if _, err := os.Lstat(link); err != nil {
			require.NoError(t, os.Symlink(filepath.Join("..data", name), link))
		}
	}
	require.NoError(t, os.Symlink(target, filepath.Join(dir, "..data_tmp")))
	require.NoError(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
}

func TestRead(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		lay     func(t *testing.T, dir string)
		want    folder.Files
		wantErr string
	}{
		"files, without sub-folders and hidden names": {
			lay: func(t *testing.T, dir string) {
				write(t, dir, "one", "1")
				write(t, dir, ".swap", "x")
				require.NoError(t, os.Mkdir(filepath.Join(dir, "lost+found"), 0o700))
			},
			want: folder.Files{"one": []byte("1")},
		},
		"the state that a mount points to": {
			lay: func(t *testing.T, dir string) {
				mount(t, dir, "old", map[string]string{"a": "old a", "b": "old b"})
				mount(t, dir, "new", map[string]string{"a": "new a"})
			},
			want: folder.Files{"a": []byte("new a")},
		},
		"too large a file": {
			lay: func(t *testing.T, dir string) {
				write(t, dir, "big", string(make([]byte, folder.MaxBytes+1)))
			},
			wantErr: "is larger than",
		},
		"too many files": {
			lay: func(t *testing.T, dir string) {
				for i := range folder.MaxFiles + 1 {
					write(t, dir, strconv.Itoa(i), "")
				}
			},
			wantErr: "more than 64 files",
		},
		"a file that points nowhere": {
			lay: func(t *testing.T, dir string) {
				require.NoError(t, os.Symlink("nowhere", filepath.Join(dir, "a")))
			},
			wantErr: "no such file",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			tc.lay(t, dir)
			got, err := folder.Read(dir)
			if tc.wantErr != "" {
				require.ErrorContains(t, err, tc.wantErr)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.want, got)
		})
	}
}

func TestMakeOnce(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "made", "too")
	var made [8]bool
	var group sync.WaitGroup
	for i := range made {
		group.Go(func() {
			var err error
			made[i], err = folder.MakeOnce(dir, "key", []byte(strconv.Itoa(i)))
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()

	winner := -1
	for i := range made {
		if made[i] {
			require.Equal(t, -1, winner, "two racers both made the file")
			winner = i
		}
	}
	files, err := folder.Read(dir)
	require.NoError(t, err)
	require.Equal(t, folder.Files{"key": []byte(strconv.Itoa(winner))}, files)
	info, err := os.Stat(filepath.Join(dir, "key"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1, "a temporary file was left behind")
}

func TestReplaceLeavesOneCompleteFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, folder.Replace(dir, "a", []byte("old")))
	require.NoError(t, folder.Replace(dir, "a", []byte("new")))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	files, err := folder.Read(dir)
	require.NoError(t, err)
	require.Equal(t, folder.Files{"a": []byte("new")}, files)
}

// record is a log and a metric that a test may read while they are written.
type record struct {
	mu      sync.Mutex
	log     bytes.Buffer
	reloads []error
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.Write(p)
}

func (r *record) reloaded(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reloads = append(r.reloads, err)
}

func (r *record) results() []error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]error(nil), r.reloads...)
}

func (r *record) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.String()
}

func watchValue(t *testing.T, dir string) (*folder.Watched[string], *record) {
	t.Helper()
	told := &record{}
	watched, err := folder.Watch(dir, func(files folder.Files) (string, error) {
		value, ok := files["value"]
		if !ok {
			return "", errors.New("no value")
		}
		return string(value), nil
	}, folder.Options{
		Logger: slog.New(slog.NewJSONHandler(told, nil)), Every: time.Millisecond, Reloaded: told.reloaded,
	})
	require.NoError(t, err)
	t.Cleanup(watched.Close)
	return watched, told
}

func TestWatchFollowsASwappedMount(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mount(t, dir, "1", map[string]string{"value": "one"})
	watched, told := watchValue(t, dir)
	require.Equal(t, "one", watched.Get())

	mount(t, dir, "2", map[string]string{"value": "two"})
	require.Eventually(t, func() bool { return watched.Get() == "two" }, soon, time.Millisecond)
	require.Eventually(t, func() bool { return len(told.results()) == 1 }, soon, time.Millisecond)
	require.NoError(t, told.results()[0])
	require.NotContains(t, told.text(), `"two"`, "the content of a file was logged")
}

func TestWatchKeepsTheLastGoodState(t *testing.T) {
	t.Parallel()
	broken := map[string]struct {
		breakIt func(t *testing.T, dir string)
		mend    func(t *testing.T, dir string)
	}{
		"content that does not parse": {
			breakIt: func(t *testing.T, dir string) {
				require.NoError(t, os.Rename(filepath.Join(dir, "value"), filepath.Join(dir, "other")))
			},
			mend: func(t *testing.T, dir string) {
				require.NoError(t, os.Rename(filepath.Join(dir, "other"), filepath.Join(dir, "value")))
			},
		},
		"a folder that is away": {
			breakIt: func(t *testing.T, dir string) { require.NoError(t, os.Rename(dir, dir+"-away")) },
			mend:    func(t *testing.T, dir string) { require.NoError(t, os.Rename(dir+"-away", dir)) },
		},
	}
	for name, tc := range broken {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "folder")
			require.NoError(t, os.Mkdir(dir, 0o700))
			write(t, dir, "value", "good")
			watched, told := watchValue(t, dir)

			tc.breakIt(t, dir)
			require.Eventually(t, func() bool { return len(told.results()) == 1 }, soon, time.Millisecond)
			require.Error(t, told.results()[0])
			require.Equal(t, "good", watched.Get())

			tc.mend(t, dir)
			require.Eventually(t, func() bool { return len(told.results()) == 2 }, soon, time.Millisecond)
			require.NoError(t, told.results()[1], "the same trouble was told twice")
			require.Equal(t, "good", watched.Get())
		})
	}
}

func TestWatchRefusesABadStart(t *testing.T) {
	t.Parallel()
	parse := func(folder.Files) (int, error) { return 0, errors.New("no good") }
	_, err := folder.Watch(t.TempDir(), parse, folder.Options{})
	require.EqualError(t, err, "no good")
	_, err = folder.Watch(filepath.Join(t.TempDir(), "absent"), parse, folder.Options{})
	require.ErrorIs(t, err, os.ErrNotExist)
}
