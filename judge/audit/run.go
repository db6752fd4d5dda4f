package audit

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/residual-ml/residual/data/folder"
)

// New is the part of an image that is not in the record of a run, or that has other content
// than it had then.
const New = "new"

// ErrNoRecord is returned by ReadRun for a folder without a record of images.
var ErrNoRecord = errors.New("it has no " + folder.RecordFile + ", so it is not a run on images in a folder")

// ErrOtherFolder is returned by ReadRun when none of the run's images is in the folder.
var ErrOtherFolder = errors.New("give the folder that the run was trained on")

// Run compares the images that are in a folder now with the record of a run.
type Run struct {
	Changed []string // a sentence for every image that has changed since the run

	parts map[string]string // train or test, by the name of the image
}

// ReadRun compares the record in the run's folder dir with the images in the folder or list
// at path. checked are these images with their digests, as folder.Index.Check leaves them,
// and classes those of the run's model. It returns ErrNoRecord or ErrOtherFolder, wrapped, for
// a run that has nothing to do with the images.
func ReadRun(dir, path string, classes []string, checked *folder.Index) (*Run, error) {
	was, err := folder.ReadRecord(filepath.Join(dir, folder.RecordFile), path, classes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", dir, ErrNoRecord)
	}
	if err != nil {
		return nil, err
	}
	is := make(map[string]folder.Item, len(checked.Items))
	for _, it := range checked.Items {
		is[it.Name] = it
	}
	r := &Run{parts: make(map[string]string, len(was.Items))}
	found := 0
	for _, it := range was.Items {
		now, ok := is[it.Name]
		label, then := "", was.Classes[it.Label]
		if ok {
			found++
			label = checked.Classes[now.Label]
		}
		r.parts[it.Name] = string(it.Split)
		switch {
		case !ok:
			r.Changed = append(r.Changed, it.Name+": is no longer there")
		case now.Mark.SHA256 != it.Mark.SHA256:
			r.Changed = append(r.Changed, it.Name+": has other content")
			r.parts[it.Name] = New
		case label != then:
			r.Changed = append(r.Changed, fmt.Sprintf("%s: is labelled %s, and was %s", it.Name, label, then))
		}
	}
	if found == 0 {
		return nil, fmt.Errorf("%s: none of its %d images is in %s; %w", dir, len(was.Items), path, ErrOtherFolder)
	}
	return r, nil
}

// part returns the part of the run that an image was in, or New; empty without a run.
func (r *Run) part(name string) string {
	if r == nil {
		return ""
	}
	return cmp.Or(r.parts[name], New)
}
