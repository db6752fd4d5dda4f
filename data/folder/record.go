package folder

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/internal/regular"
	"github.com/residual-ml/residual/task"
)

// RecordFile is the name of a record in the folder of a run.
const RecordFile = "pictures.csv"

// recordColumns are the columns of a record. The first three are those of a list.
var recordColumns = []string{"path", "label", "split", "bytes", "modified", "sha256"}

// Write writes a record of the index as CSV: the name, label, split and mark of each image.
// ReadRecord reads it.
func (x *Index) Write(w io.Writer) error {
	c := csv.NewWriter(w)
	if err := c.Write(recordColumns); err != nil {
		return err
	}
	for _, it := range x.Items {
		err := c.Write([]string{
			it.Name, x.Classes[it.Label], string(it.Split),
			strconv.FormatInt(it.Mark.Bytes, 10), it.Mark.Modified.UTC().Format(time.RFC3339Nano), it.Mark.SHA256,
		})
		if err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}

// ReadRecord reads the file record, which Index.Write wrote, for images in the folder or the
// list at path. classes are in the order of the labels.
func ReadRecord(record, path string, classes []string) (*Index, error) {
	return readRecordFile(record, path, classes, nil)
}

// ReadRecordOfTargets is ReadRecord for images with labels or values. c.Known lists the labels
// or values in order; the other fields of c say how Index.Changed reads the list.
func ReadRecordOfTargets(record, path string, c Columns) (*Index, error) {
	return readRecordFile(record, path, nil, &c)
}

func readRecordFile(record, path string, classes []string, c *Columns) (*Index, error) {
	f, err := regular.Open(record)
	if err != nil {
		return nil, fmt.Errorf("images: %w", err)
	}
	defer f.Close()
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("images: %w; put the images back where the run found them", err)
	}
	root := path
	if !st.IsDir() {
		root = filepath.Dir(path)
	}
	x := newIndex(root)
	x.Classes = slices.Clone(classes)
	if !st.IsDir() {
		x.list, x.Name = path, strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	}
	if c != nil {
		x.Targets = task.Targets{Task: c.Task, Names: c.Known}
		x.columns = &Columns{Task: c.Task, Names: c.Names}
	}
	if err := x.readRecord(f); err != nil {
		return nil, fmt.Errorf("%s: %w; put back a copy of the file, or start a new run", record, err)
	}
	return x, nil
}

func (x *Index) readRecord(r io.Reader) error {
	known := map[string]int{} // the labels of the targets that were read so far
	c := csv.NewReader(r)
	header, err := c.Read()
	if err != nil || !slices.Equal(header, recordColumns) {
		return fmt.Errorf("its first line is not %s", strings.Join(recordColumns, ","))
	}
	for {
		row, err := c.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		line, _ := c.FieldPos(0)
		if _, ok := known[row[1]]; x.targeted() && !ok {
			if _, err := targetsIn(row[1], len(x.Targets.Names)); err != nil {
				return fmt.Errorf("line %d: %w", line, err)
			}
			known[row[1]] = len(x.Classes)
			x.Classes = append(x.Classes, row[1])
		}
		it := Item{Name: row[0], Path: filepath.FromSlash(row[0]), Label: slices.Index(x.Classes, row[1]), Split: data.Split(row[2])}
		if x.targeted() {
			it.Label = known[row[1]]
		}
		if !filepath.IsAbs(it.Path) {
			it.Path = filepath.Join(x.Root, it.Path)
		}
		it.Mark.SHA256 = row[5]
		bytes, errBytes := strconv.ParseInt(row[3], 10, 64)
		modified, errTime := time.Parse(time.RFC3339Nano, row[4])
		it.Mark.Bytes, it.Mark.Modified = bytes, modified
		switch {
		case it.Label < 0:
			return fmt.Errorf("line %d has the class %q, which the model does not know", line, row[1])
		case it.Split != data.Train && it.Split != data.Test:
			return fmt.Errorf("line %d has the part %q", line, row[2])
		case errBytes != nil || errTime != nil:
			return fmt.Errorf("line %d: %w", line, errors.Join(errBytes, errTime))
		}
		x.Items = append(x.Items, it)
	}
}
