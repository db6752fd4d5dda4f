package train

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/internal/regular"
	"github.com/residual-ml/residual/train/settings"
)

// maxSettings is the largest size of a file of settings in bytes.
const maxSettings = 1 << 20

// ReadConfig reads a file of settings, such as the settings.yaml of a run, and returns them
// with the names of the fields that the file has. The others are zero, for their defaults. A
// run folder stands for its settings.yaml, and checkpoint.Last for the newest run. An error
// names the file, the line and, of a key that is no setting, the nearest ones.
func ReadConfig(path string) (c Config, fields []string, err error) {
	if path, err = checkpoint.FindRun(path); err != nil {
		return c, nil, err
	}
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		path = filepath.Join(path, "settings.yaml")
	}
	text, err := regular.ReadFile(path, maxSettings)
	if err != nil {
		return c, nil, fmt.Errorf("%w; name a file of settings, or a run folder such as runs/train-1", err)
	}
	if fields, err = settings.Read(text, &c); err != nil {
		return c, nil, fmt.Errorf("%s: %w", path, err)
	}
	if slices.Contains(fields, "OwnParts") {
		return c, nil, fmt.Errorf("%s: is of a training with a program's own %v, which no file holds; only that program can repeat it", path, c.OwnParts)
	}
	return c, fields, nil
}
