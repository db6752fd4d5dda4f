package folder

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/internal/regular"
)

// entry is a line of a list.
type entry struct {
	line               int
	path, label, split string
}

// What a column or key may be called; the first is what this package writes of it.
var (
	pathNames  = []string{"path", "file", "filename", "file_name", "image"}
	labelNames = []string{"label", "class", "category"}
	splitNames = []string{"split", "part"}
)

// splitOf reads a split's name.
func splitOf(name string) (data.Split, error) {
	switch s := strings.ToLower(strings.TrimSpace(name)); {
	case s == "" || s == "train" || s == "training":
		return data.Train, nil
	case slices.Contains(testFolders, s):
		return data.Test, nil
	}
	return "", fmt.Errorf("unknown split %q; use train or val", name)
}

// scanList makes an index of a list. Paths count from the list's folder.
func scanList(list string, known []string, read func(io.Reader, func(entry) error) error) (*Index, error) {
	f, err := regular.Open(list)
	if err != nil {
		return nil, fmt.Errorf("pictures: %w", err)
	}
	defer f.Close()
	x := newIndex(filepath.Dir(list))
	x.Name = strings.TrimSuffix(filepath.Base(list), filepath.Ext(list))
	x.list = list
	var entries []entry
	labels, lines := map[string]bool{}, map[string]int{}
	err = read(bufio.NewReader(f), func(e entry) error {
		switch {
		case e.path == "":
			return fmt.Errorf("line %d names no picture", e.line)
		case e.label == "":
			return fmt.Errorf("line %d gives %s no label", e.line, e.path)
		}
		if _, err := splitOf(e.split); err != nil {
			return fmt.Errorf("line %d: %w", e.line, err)
		}
		if known != nil && !slices.Contains(known, e.label) {
			return fmt.Errorf("line %d gives %s the label %q, which the model does not know; it knows %s", e.line, e.path, e.label, strings.Join(known, ", "))
		}
		name := filepath.ToSlash(filepath.Clean(e.path))
		if first, twice := lines[name]; twice {
			return fmt.Errorf("line %d names %s again, after line %d; remove one of them", e.line, e.path, first)
		}
		lines[name], labels[e.label] = e.line, true
		entries = append(entries, e)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", list, err)
	}
	if x.Classes = known; known == nil {
		x.Classes = slices.Sorted(maps.Keys(labels))
	}
	for _, e := range entries {
		path := filepath.FromSlash(e.path)
		if !filepath.IsAbs(path) {
			path = filepath.Join(x.Root, path)
		}
		switch st, err := os.Stat(path); {
		case err != nil:
			return nil, fmt.Errorf("list %s: line %d: %w; paths count from the list's folder", list, e.line, err)
		case !st.Mode().IsRegular():
			return nil, fmt.Errorf("list %s: line %d: %s is not a regular file", list, e.line, path)
		}
		split, _ := splitOf(e.split) // known to be good
		x.Tested = x.Tested || split == data.Test
		x.Items = append(x.Items, Item{Path: path, Name: filepath.ToSlash(filepath.Clean(e.path)), Label: slices.Index(x.Classes, e.label), Split: split})
	}
	sort.SliceStable(x.Items, func(i, j int) bool {
		a, b := x.Items[i], x.Items[j]
		if a.Label != b.Label {
			return a.Label < b.Label
		}
		return a.Name < b.Name
	})
	return x, nil
}

// readCSV reads a table whose first line names its columns.
func readCSV(r io.Reader, take func(entry) error) error {
	c := csv.NewReader(r)
	header, err := c.Read()
	if errors.Is(err, io.EOF) {
		return errors.New("is empty; its first line must name the columns path and label")
	}
	if err != nil {
		return err
	}
	column := func(names []string) int {
		return slices.IndexFunc(header, func(h string) bool {
			return slices.Contains(names, strings.ToLower(strings.TrimSpace(strings.TrimPrefix(h, "\ufeff"))))
		})
	}
	path, label, split := column(pathNames), column(labelNames), column(splitNames)
	if path < 0 || label < 0 {
		return fmt.Errorf("its first line names the columns %s; path and label must be among them; begin the file with such a line", strings.Join(header, ", "))
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
		e := entry{line: line, path: strings.TrimSpace(row[path]), label: strings.TrimSpace(row[label])}
		if split >= 0 {
			e.split = row[split]
		}
		if err := take(e); err != nil {
			return err
		}
	}
}

// readJSONLines reads one object a line. A label may be a text or a number.
func readJSONLines(r io.Reader, take func(entry) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" {
			continue
		}
		var values map[string]any
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		if err := d.Decode(&values); err != nil {
			return fmt.Errorf("line %d is no JSON object: %w", n, err)
		}
		if d.More() {
			return fmt.Errorf("line %d holds more than one JSON object", n)
		}
		value := func(names []string) string {
			for _, name := range names {
				switch v := values[name].(type) {
				case string:
					return v
				case json.Number:
					return v.String()
				}
			}
			return ""
		}
		if err := take(entry{n, value(pathNames), value(labelNames), value(splitNames)}); err != nil {
			return err
		}
	}
	return lines.Err()
}
