package hack_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCleanTouchesOnlyWhatLocalModeMade(t *testing.T) {
	t.Parallel()
	made := []string{"engine/data", "engine.lock", "secrets/signing/key.pem", "outbox/1.eml", "lock"}
	tests := map[string]struct{ before, after []string }{
		"a data folder goes":                 {made, nil},
		"files of others in it stay":         {append([]string{"thesis.tex", "enginery/plan"}, made...), []string{"enginery/plan", "thesis.tex"}},
		"a folder of others stays":           {[]string{"engine/data", "secrets/diary"}, []string{"engine/data", "secrets/diary"}},
		"a folder that is not there is fine": {nil, nil},
	}
	for outcome, tt := range tests {
		t.Run(outcome, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "data")
			for _, name := range tt.before {
				path := filepath.Join(dir, filepath.FromSlash(name))
				require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
				require.NoError(t, os.WriteFile(path, nil, 0o600))
			}
			output, err := exec.CommandContext(t.Context(), "./clean.sh", dir).CombinedOutput()
			require.NoError(t, err, string(output))

			if tt.after == nil {
				require.NoDirExists(t, dir)
				return
			}
			left, err := filepath.Glob(filepath.Join(dir, "*", "*"))
			require.NoError(t, err)
			files, err := filepath.Glob(filepath.Join(dir, "*.*"))
			require.NoError(t, err)
			var names []string
			for _, path := range append(left, files...) {
				name, err := filepath.Rel(dir, path)
				require.NoError(t, err)
				names = append(names, filepath.ToSlash(name))
			}
			require.Equal(t, tt.after, names)
		})
	}
}
