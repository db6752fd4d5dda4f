// Package checkpoint stores what a training leaves behind: numbered run folders with
// settings and metrics (Run, MetricsLog), model files that describe themselves (Model,
// SaveModel, LoadModel), and states from which a training resumes (State, SaveState,
// LoadState).
//
//	run, err := checkpoint.NewRun("runs", "train") // runs/train-1
//	// ...
//	err = checkpoint.SaveModel(run.Path("best.safetensors"), about, nn.StateDict(net))
//
// Files are replaced atomically: WriteFile leaves either the old content or the new one.
package checkpoint

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/residual-ml/residual/internal/regular"
	"github.com/residual-ml/residual/internal/rng"
)

// WriteFile creates the file at path, or replaces it, with what write produces. The
// content is written to a temporary file in the same folder and synced to disk before
// the file is renamed to path; then the folder is synced. On an error, or a panic
// in write, the old file is unchanged and the temporary one is removed. The only
// exception is a failure of that last sync: the new file is then in place, and
// the error says that a power failure may still lose it. A killed program can leave
// a file named .residual-*.tmp, which may be deleted. A path that is not a regular file,
// such as a pipe or a device, is not replaced: that is an error.
func WriteFile(path string, write func(io.Writer) error) error {
	if err := regular.Replaceable(path); err != nil {
		return fmt.Errorf("%w; it was left unchanged, give the name of a file", err)
	}
	return writeFile(osFiles{}, path, write)
}

// fileSystem is the part of the operating system that writeFile uses; tests fail each call in turn.
type fileSystem interface {
	create(path string) (file, error) // fails if path exists
	rename(from, to string) error
	remove(path string) error
	syncDir(dir string) error
}

type file interface {
	io.Writer
	Sync() error
	Close() error
}

func writeFile(files fileSystem, path string, write func(io.Writer) error) (err error) {
	dir := filepath.Dir(path)
	temp, f, err := createTemp(files, dir)
	if err != nil {
		return fmt.Errorf("%s cannot be written: %w; check that its folder exists and can be written", path, err)
	}
	done := false
	defer func() {
		if !done {
			files.remove(temp) // the first error is the one to report
		}
	}()
	if err := fill(f, write); err != nil {
		return fmt.Errorf("%s was not written: %w; check that the disk has room, and try again", path, err)
	}
	if err := files.rename(temp, path); err != nil {
		return fmt.Errorf("%s was not replaced: %w; check that it is a file and may be written", path, err)
	}
	done = true
	if err := files.syncDir(dir); err != nil {
		return fmt.Errorf("%s is written, but a power cut may still lose it, since its folder cannot be synced: %w; check the disk", path, err)
	}
	return nil
}

// tempName returns the name of a temporary file; Sweep finds files with such names.
func tempName(middle string) string { return ".residual-" + middle + ".tmp" }

// createTemp creates a file with the permissions that new files normally get, unlike
// os.CreateTemp.
func createTemp(files fileSystem, dir string) (string, file, error) {
	for {
		temp := filepath.Join(dir, tempName(fmt.Sprintf("%016x", rng.Unforeseen())))
		f, err := files.create(temp)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		return temp, f, err
	}
}

// fill writes, syncs and closes f, which is closed even after an error.
func fill(f file, write func(io.Writer) error) (err error) {
	closed := false
	defer func() {
		if !closed {
			f.Close()
		}
	}()
	w := bufio.NewWriterSize(f, 64<<10)
	if err := write(w); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	closed = true
	return f.Close()
}

type osFiles struct{}

func (osFiles) create(path string) (file, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (osFiles) rename(from, to string) error { return os.Rename(from, to) }
func (osFiles) remove(path string) error     { return os.Remove(path) }

func (osFiles) syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // Windows cannot sync a folder; NTFS journals the rename
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	return errors.Join(err, d.Close())
}
