package folder

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/lines"
	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/internal/nearest"
	"github.com/residual-ml/residual/internal/regular"
)

// entry is one line of a list.
type entry struct {
	line               int
	path, label, split string   // as written in the list; add replaces the label by the class
	at, name           string   // the path to open, and the name of the image in the index
	kind               partKind // the meaning of split
}

// splitOf returns the split with a name in a list; without a name it is the training split.
func splitOf(name string) (partKind, error) {
	if lines.Name(name) == "" {
		return trainPart, nil
	}
	if kind, stem := partName(name); kind != noPart && stem == "" {
		return kind, nil
	}
	return noPart, fmt.Errorf("unknown split %q; use train, val or test", lines.Short(name))
}

// list is a list while it is read.
type list struct {
	*Index
	known   []string
	labels  map[string]int // the labels of the known classes by name
	lines   map[string]int // the line of each image by name
	entries []entry
	columns *columns // the columns of labels or values; nil for classes
}

// scanList reads a list and returns its index. Paths are relative to the folder of the list.
func scanList(path string, known []string, wanted *Columns) (*Index, error) {
	f, err := regular.Open(path)
	if err != nil {
		return nil, fmt.Errorf("images: %w", err)
	}
	defer f.Close()
	x := newIndex(filepath.Dir(path))
	x.Name = strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	x.list = path
	l := list{Index: x, known: known, labels: map[string]int{}, lines: map[string]int{}}
	if x.columns = wanted; wanted != nil {
		l.columns = &columns{Columns: *wanted}
	}
	for i, class := range slices.Backward(known) {
		l.labels[lines.Name(class)] = i
	}
	for i, class := range known { // an exact match comes first
		l.labels[class] = i
	}
	r := lines.NewReader(f)
	first, before, err := firstLine(r)
	switch kind := kindOf(first, wanted == nil); {
	case kind == noList && !endsAsList(path): // of one that is called a list, its reader says what is wrong
		return nil, fmt.Errorf("images: %s is neither a folder nor a .csv or .jsonl list", path)
	case kind == jsonList || kind == noList && !strings.EqualFold(filepath.Ext(path), ".csv"):
		err = readJSONLines(r, l.columns, l.add)
	case errors.Is(err, io.EOF):
		err = errors.New("is empty; its first line must name the columns path and label")
	case err != nil:
	default:
		err = readCSV(r, first, before, l.columns, l.add)
	}
	if err == nil && l.columns != nil {
		err = l.columns.finish(&l)
	}
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", path, err)
	}
	l.finish()
	return x, nil
}

// add checks and adds a line.
func (l *list) add(e entry) (err error) {
	if strings.TrimSpace(e.path) == "" {
		return fmt.Errorf("line %d names no image", e.line)
	}
	if l.columns == nil {
		if e.label, err = lines.ClassName(e.label); err != nil {
			return fmt.Errorf("line %d: the label %w", e.line, err)
		}
	}
	if e.label == "" && l.columns == nil {
		return fmt.Errorf("line %d gives %s no label", e.line, lines.Short(e.path))
	}
	if e.kind, err = splitOf(e.split); err != nil {
		return fmt.Errorf("line %d: %w", e.line, err)
	}
	if l.known != nil {
		label, ok := l.labels[e.label]
		if !ok {
			return fmt.Errorf("line %d gives %s the label %q, which the model does not know; %sit knows %s",
				e.line, lines.Short(e.path), e.label, nearest.Aside(e.label, l.known, "%q"), firstFew(l.known))
		}
		e.label = l.known[label]
	}
	if err := l.find(&e); err != nil {
		return fmt.Errorf("line %d: %w", e.line, err)
	}
	if first, twice := l.lines[e.name]; twice {
		return fmt.Errorf("line %d names %s again, after line %d; remove one of them", e.line, lines.Short(e.path), first)
	}
	l.lines[e.name] = e.line
	l.entries = append(l.entries, e)
	return nil
}

// find finds the file of a line. Paths are bytes and need not be UTF-8.
func (l *list) find(e *entry) error {
	at := func(written string) string {
		if path := filepath.FromSlash(written); filepath.IsAbs(path) {
			return path
		}
		return filepath.Join(l.Root, filepath.FromSlash(written))
	}
	var st os.FileInfo
	var err error
	written := lines.Path(e.path, func(p string) bool {
		st, err = os.Stat(at(p))
		return err == nil
	})
	switch {
	case err != nil:
		if wrong := lines.Check(written); wrong != nil {
			return fmt.Errorf("no such file, and the path %w", wrong)
		}
		if e := (*fs.PathError)(nil); errors.As(err, &e) {
			err = e.Err // without the path, which may be long
		}
		return fmt.Errorf("%s: %w; paths are relative to the folder of the list", lines.Short(at(written)), err)
	case !st.Mode().IsRegular():
		return fmt.Errorf("%s is not a regular file", lines.Short(at(written)))
	}
	e.at, e.name = at(written), filepath.ToSlash(filepath.Clean(written))
	return nil
}

// finish fills the index from the lines.
func (l *list) finish() {
	x := l.Index
	labels, kinds := map[string]bool{}, map[partKind]bool{}
	for _, e := range l.entries {
		labels[e.label], kinds[e.kind] = true, true
	}
	if x.Classes = l.known; l.known == nil {
		x.Classes = slices.Sorted(maps.Keys(labels))
		if l.columns == nil {
			x.similar()
		}
	}
	number := make(map[string]int, len(x.Classes))
	for i, class := range slices.Backward(x.Classes) {
		number[class] = i
	}
	unused := 0
	for _, e := range l.entries {
		split := data.Train
		switch {
		case e.kind == testPart && kinds[valPart]:
			unused++
			continue
		case e.kind != trainPart:
			split, x.Tested = data.Test, true
		}
		x.Items = append(x.Items, Item{Path: e.at, Name: e.name, Label: number[e.label], Split: split})
	}
	if unused > 0 {
		x.Layout = append(x.Layout, Part{Name: "test", Images: unused})
	}
	sort.SliceStable(x.Items, func(i, j int) bool {
		a, b := x.Items[i], x.Items[j]
		if a.Label != b.Label && l.columns == nil {
			return a.Label < b.Label
		}
		return a.Name < b.Name
	})
}

// readCSV reads a table whose first line, after some that the parser does not see, names its
// columns. Their separator is a comma, a semicolon or a tab.
func readCSV(r *lines.Reader, first string, before int, targets *columns, take func(entry) error) error {
	if err := lines.Check(first); err != nil {
		return fmt.Errorf("line %d: %w", r.Number(), err)
	}
	head, ok := headOf(first, targets == nil)
	switch {
	case !ok && targets != nil:
		return fmt.Errorf("its first line is %s, which does not name the columns; path must be among them, and one column for each of the %s; begin the file with such a line", lines.Short(first), targets.Task)
	case !ok:
		return field.Errorf("its first line is %s, which does not name the columns; path and label must be among them; begin the file with such a line, or say with {Task} that its columns are labels or values", lines.Short(first))
	}
	c := csv.NewReader(r)
	c.Comma, c.TrimLeadingSpace = head.separator, head.separator != '\t'
	header, path, label, split := head.names, head.column(pathNames), head.column(labelNames), head.column(splitNames)
	if targets != nil {
		if err := targets.choose(besides(header, path, split)); err != nil {
			return err
		}
	}
	for {
		r.StartRecord()
		row, err := c.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if wrong := (*csv.ParseError)(nil); errors.As(err, &wrong) {
			wrong.StartLine, wrong.Line = wrong.StartLine+before, wrong.Line+before
		}
		if err != nil {
			return err
		}
		line, _ := c.FieldPos(0)
		if line == 1 {
			continue // the names of the columns
		}
		e := entry{line: line + before, path: row[path]}
		if targets == nil {
			e.label = row[label]
		} else if e.label, err = targets.text(cellOf(header, row, path, split)); err != nil {
			return fmt.Errorf("line %d: %w", e.line, err)
		}
		if split >= 0 {
			e.split = row[split]
		}
		if err := take(e); err != nil {
			return err
		}
	}
}

// readJSONLines reads one JSON object per line. A label may be a string or a number.
func readJSONLines(r *lines.Reader, targets *columns, take func(entry) error) error {
	for {
		text, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		n := r.Number()
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		if err := lines.Check(text); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		var values map[string]any
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		if err := d.Decode(&values); err != nil {
			return fmt.Errorf("line %d is not a JSON object: %w", n, err)
		}
		if d.More() {
			return fmt.Errorf("line %d holds more than one JSON object", n)
		}
		keys := slices.Sorted(maps.Keys(values))
		value := func(names []string) string {
			for _, name := range names {
				i := slices.IndexFunc(keys, func(key string) bool { return strings.EqualFold(lines.Name(key), name) })
				if i < 0 {
					continue
				}
				switch v := values[keys[i]].(type) {
				case string:
					return v
				case json.Number:
					return v.String()
				}
			}
			return ""
		}
		e := entry{line: n, path: value(pathNames), split: value(splitNames)}
		if targets == nil {
			e.label = value(labelNames)
		} else if e.label, err = targets.ofObject(keys, values); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if err := take(e); err != nil {
			return err
		}
	}
}
