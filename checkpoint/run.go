package checkpoint

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/internal/regular"
)

// Run is the folder of one training or experiment.
type Run struct {
	Dir string
}

const (
	defaultRoot  = "runs"
	settingsFile = "settings.yaml"
)

// NewRun creates the next numbered folder under root: for the name train, runs/train-1,
// then runs/train-2 and so on. An empty root means runs. Programs that start at the same
// time get different folders.
func NewRun(root, name string) (*Run, error) {
	root = cmp.Or(root, defaultRoot)
	if name == "" || name != filepath.Base(name) || name == "." || name == ".." || strings.ContainsAny(name, `/\`) {
		return nil, fmt.Errorf("run name %q: must be one word without slashes, such as train", name)
	}
	next, err := nextNumber(root, name)
	for err == nil {
		dir := filepath.Join(root, name+"-"+strconv.Itoa(next))
		if err = os.Mkdir(dir, 0o777); err == nil {
			return &Run{Dir: dir}, nil
		}
		if errors.Is(err, fs.ErrExist) { // another program has created it
			next, err = next+1, nil
		}
	}
	return nil, field.Errorf("the folder %s for runs cannot be written: %w; choose another with {Out}", root, err)
}

// nextNumber returns the number after the highest one, so that numbers of deleted runs
// below it are not used again.
func nextNumber(root, name string) (int, error) {
	if err := os.MkdirAll(root, 0o777); err != nil {
		return 0, err
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		return 0, err
	}
	highest := 0
	for _, e := range entries {
		digits, ok := strings.CutPrefix(e.Name(), name+"-")
		n, err := strconv.Atoi(digits)
		if ok && err == nil && strconv.Itoa(n) == digits && n < 1<<30 {
			highest = max(highest, n)
		}
	}
	return highest + 1, nil
}

// Path returns the path of a file in the run's folder.
func (r *Run) Path(file string) string { return filepath.Join(r.Dir, file) }

// WriteSettings writes v, a struct or map with the resolved settings, to settings.yaml.
func (r *Run) WriteSettings(v any) error {
	return WriteFile(r.Path(settingsFile), func(w io.Writer) error {
		e := yaml.NewEncoder(w)
		e.SetIndent(2)
		if err := e.Encode(v); err != nil {
			return err
		}
		return e.Close()
	})
}

// maxSettingsBytes is the largest size of a settings file in bytes.
const maxSettingsBytes = 16 << 20

// ReadSettings reads what WriteSettings wrote into v, a pointer. A setting that v does not
// have is an error that names it: the setting may be misspelt or damaged, and ignoring it
// would give a different run.
func (r *Run) ReadSettings(v any) error { return r.readSettings(v, true) }

// PickSettings reads the settings that v, a pointer, has, and ignores the others.
func (r *Run) PickSettings(v any) error { return r.readSettings(v, false) }

// readSettings reads settings.yaml into v. If all is true, settings that v does not have are
// an error.
func (r *Run) readSettings(v any, all bool) error {
	path := r.Path(settingsFile)
	text, err := regular.ReadFile(path, maxSettingsBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is not a run folder, because it has no settings.yaml; give one that `residual train` wrote, such as runs/train-1", r.Dir)
	}
	if err != nil {
		return fmt.Errorf("the settings of the run cannot be read: %w; check its permissions", err)
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(all)
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("%s is damaged, or of another version of Residual: %w; put back a copy of it", path, settingsError(err))
	}
	if err := d.Decode(new(yaml.Node)); err != io.EOF {
		return fmt.Errorf("%s is damaged: there is more text after the settings; put back a copy of it", path)
	}
	return nil
}

// unknownField matches an error of package yaml about a setting that does not exist.
var unknownField = regexp.MustCompile(`^(line \d+): field (.*) not found in type .*$`)

// settingsError describes an error in the settings without the names of Go types.
func settingsError(err error) error {
	var wrong *yaml.TypeError
	if !errors.As(err, &wrong) {
		return err
	}
	var lines []string
	for _, line := range wrong.Errors {
		if m := unknownField.FindStringSubmatch(line); m != nil {
			line = fmt.Sprintf("%s: there is no setting %q", m[1], m[2])
		}
		lines = append(lines, line)
	}
	return errors.New(strings.Join(lines, "; "))
}

// Sweep removes the temporary files that a program killed during WriteFile left in the
// run's folder. No other program may be writing there.
func (r *Run) Sweep() error {
	entries, err := os.ReadDir(r.Dir)
	if err != nil {
		return fmt.Errorf("the run cannot be read: %w; check its permissions", err)
	}
	for _, e := range entries {
		if ok, _ := filepath.Match(tempName("*"), e.Name()); ok && e.Type().IsRegular() {
			if err := os.Remove(r.Path(e.Name())); err != nil {
				return fmt.Errorf("a temporary file of a killed program cannot be removed: %w; check its permissions", err)
			}
		}
	}
	return nil
}
