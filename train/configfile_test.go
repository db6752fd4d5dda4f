package train_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/train"
)

// Settings are read from a file, from a run folder and from the newest run, zeros included.
func TestReadConfig(t *testing.T) {
	t.Chdir(t.TempDir())
	dir := filepath.Join("runs", "train-1")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	text := "data: garments\nmomentum: 0\nblocks: [1, 2]\ndevice: cpu\n"
	for name, text := range map[string]string{
		filepath.Join(dir, "settings.yaml"): text, "run.yaml": text, "own.yaml": "own: [Module main.Net]\n", "bad.yaml": "lerning: 1\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"run.yaml", dir, "last", filepath.Join(dir, "settings.yaml")} {
		c, fields, err := train.ReadConfig(path)
		if err != nil || c.Data != "garments" || !slices.Equal(c.Blocks, []int{1, 2}) || !slices.Equal(fields, []string{"Data", "Momentum", "Blocks"}) {
			t.Errorf("%s: %+v, %v, %v", path, c, fields, err)
		}
	}
	for path, want := range map[string]string{"own.yaml": "a program's own [Module main.Net]", "bad.yaml": "bad.yaml: line 1: lerning is no setting", "absent": "absent"} {
		if _, _, err := train.ReadConfig(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}
