package folder

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/lines"
	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/internal/nearest"
	"github.com/residual-ml/residual/task"
)

// namedLabels lists the names of a column that holds the names of labels.
var namedLabels = []string{"labels", "tags"}

// separator separates the names of labels in a cell, and the targets of an image in a record.
const separator = "|"

// columns holds the chosen columns of a list while it is read.
type columns struct {
	Columns
	names []string // the names of the chosen columns
	named bool     // the single column holds the names of labels
	maybe bool     // named becomes true when a cell is neither 0 nor 1
}

// choose chooses columns among have, those of a list besides path and split.
func (c *columns) choose(have []string) error {
	find := func(name string) string {
		if slices.Contains(have, name) {
			return name
		}
		for _, h := range have {
			if strings.EqualFold(lines.Name(h), lines.Name(name)) {
				return h
			}
		}
		return ""
	}
	wanted := c.Names
	if c.Known != nil && wanted == nil {
		wanted = c.Known
		if missing := slices.ContainsFunc(wanted, func(name string) bool { return find(name) == "" }); missing && c.Task == task.Labels {
			wanted = nil
		}
	}
	c.names = nil
	for _, name := range wanted {
		h := find(name)
		switch {
		case h == "" && len(have) == 0:
			return field.Errorf("has no column %q ({Columns}): it has only those of the path and the split", name)
		case h == "":
			return field.Errorf("has no column %q ({Columns}); its other columns are %s", name, firstFew(have))
		case slices.Contains(c.names, h):
			return field.Errorf("the column %q is named twice ({Columns})", name)
		}
		c.names = append(c.names, h)
	}
	if wanted == nil {
		c.names = have
		for _, name := range namedLabels {
			if h := find(name); h != "" && c.Task == task.Labels {
				c.names = []string{h}
				break
			}
		}
	}
	if len(c.names) == 0 {
		return fmt.Errorf("has no column of %s besides those of the path and the split; add one for each of the %s", c.Task, c.Task)
	}
	for i, name := range c.names {
		if lines.Name(name) == "" || slices.Contains(c.names[:i], name) {
			return fmt.Errorf("its first line names the column %q twice, or not at all; give every column a name of its own", name)
		}
	}
	c.named = c.Task == task.Labels && len(c.names) == 1 && slices.Contains(namedLabels, strings.ToLower(lines.Name(c.names[0])))
	c.maybe = c.Task == task.Labels && len(c.names) == 1 && !c.named
	return nil
}

// text returns the targets of an image in the form of a record, or the names of its labels as
// they are written.
func (c *columns) text(cell func(column string) (string, bool)) (string, error) {
	parts := make([]string, len(c.names))
	for i, column := range c.names {
		text, ok := cell(column)
		text = strings.TrimSpace(text)
		if c.named || c.maybe {
			if c.maybe && ok && text != "0" && text != "1" {
				c.named, c.maybe = true, false
			}
			if !ok {
				return "", fmt.Errorf("column %q is missing; leave it empty for an image without labels", column)
			}
			return text, nil
		}
		if !ok || text == "" {
			return "", fmt.Errorf("column %q is empty; every image needs %s", column, map[task.Task]string{task.Labels: "0 or 1 for every label", task.Values: "a number"}[c.Task])
		}
		v, err := number(text)
		switch {
		case c.Task == task.Labels && (err != nil || v != 0 && v != 1):
			return "", field.Errorf("column %q: %s is neither 0 nor 1; name the columns of the labels with {Columns}", column, quotedShort(text))
		case err != nil:
			return "", field.Errorf("column %q: %s %w; name the columns of the values with {Columns}", column, quotedShort(text), err)
		}
		parts[i] = strconv.FormatFloat(float64(v), 'g', -1, 32)
	}
	return strings.Join(parts, separator), nil
}

// besides lists the columns of a table that are neither the path nor the split.
func besides(header []string, path, split int) (names []string) {
	for i, name := range header {
		if i != path && i != split {
			names = append(names, lines.Name(name))
		}
	}
	return names
}

// cellOf returns a function that finds the cells of a row by the names of their columns.
func cellOf(header, row []string, path, split int) func(column string) (string, bool) {
	return func(column string) (string, bool) {
		for i, name := range header {
			if i != path && i != split && lines.Name(name) == column && i < len(row) {
				return row[i], true
			}
		}
		return "", false
	}
}

// ofObject is text for a line of JSON Lines. The first line determines the columns.
func (c *columns) ofObject(keys []string, values map[string]any) (string, error) {
	if c.names == nil {
		taken := slices.Concat(pathNames, splitNames)
		have := slices.DeleteFunc(slices.Clone(keys), func(key string) bool { return slices.Contains(taken, strings.ToLower(lines.Name(key))) })
		if err := c.choose(have); err != nil {
			return "", err
		}
	}
	return c.text(func(column string) (string, bool) {
		switch v := values[column].(type) {
		case string:
			return v, true
		case json.Number:
			return v.String(), true
		case bool:
			return map[bool]string{false: "0", true: "1"}[v], true
		case []any:
			names := make([]string, len(v))
			for i, name := range v {
				names[i] = fmt.Sprint(name)
			}
			return strings.Join(names, separator), true
		}
		return "", false
	})
}

// quotedShort quotes a cell for a message and shortens a long one.
func quotedShort(text string) string { return strconv.Quote(lines.Short(text)) }

// number parses a target. The error continues a sentence that begins with the target.
func number(text string) (float32, error) {
	v, err := strconv.ParseFloat(text, 32)
	switch {
	case errors.Is(err, strconv.ErrRange), err == nil && (math.IsNaN(v) || math.IsInf(v, 0)):
		return 0, errors.New("is not a finite number")
	case err != nil && strings.Count(text, ",") == 1 && !strings.Contains(text, "."):
		return 0, errors.New("is not a number; write decimals with a point")
	case err != nil:
		return 0, errors.New("is not a number")
	}
	return float32(v), nil
}

// finish sets the targets of the index. If the labels are named, it replaces the names in each
// entry by the form of a record.
func (c *columns) finish(l *list) error {
	x := l.Index
	x.Targets = task.Targets{Task: c.Task, Names: c.Known}
	if !c.named {
		if x.Targets.Names == nil {
			for _, name := range c.names {
				x.Targets.Names = append(x.Targets.Names, lines.Name(name))
			}
		}
		return nil
	}
	given, used := make([][]string, len(l.entries)), map[string]bool{}
	for i, e := range l.entries {
		for part := range strings.SplitSeq(e.label, separator) {
			name, err := lines.ClassName(part)
			if err != nil {
				return fmt.Errorf("line %d: a label %w", e.line, err)
			}
			if name == "" {
				continue
			}
			if c.Known != nil && !slices.Contains(c.Known, name) {
				return fmt.Errorf("line %d gives %s the label %q, which the model does not know; %sit knows %s",
					e.line, lines.Short(e.path), name, nearest.Aside(name, c.Known, "%q"), firstFew(c.Known))
			}
			given[i], used[name] = append(given[i], name), true
		}
	}
	if c.Known == nil {
		x.Targets.Names = slices.Sorted(maps.Keys(used))
		for _, names := range lines.Alike(x.Targets.Names) {
			x.note("%s are different labels, whose names differ only in case or spaces; if they are the same label, give them the same name", quoted(names))
		}
	}
	for i, names := range given {
		bits := make([]string, len(x.Targets.Names))
		for j, name := range x.Targets.Names {
			bits[j] = "0"
			if slices.Contains(names, name) {
				bits[j] = "1"
			}
		}
		l.entries[i].label = strings.Join(bits, separator)
	}
	return nil
}

// targetsIn parses the targets of an image in a record, of which there must be names.
func targetsIn(text string, names int) ([]float32, error) {
	parts := strings.Split(text, separator)
	if len(parts) != names {
		return nil, fmt.Errorf("%s has %d targets, not %d", quotedShort(text), len(parts), names)
	}
	values := make([]float32, len(parts))
	for i, part := range parts {
		v, err := number(part)
		if err != nil {
			return nil, fmt.Errorf("%s %w", quotedShort(part), err)
		}
		values[i] = v
	}
	return values, nil
}

// CountLabels returns how many images of a part have each label of the index; of both parts for
// an empty split.
func (x *Index) CountLabels(split data.Split) []int {
	counts := make([]int, len(x.Targets.Names))
	for _, it := range x.Items {
		if split != "" && it.Split != split {
			continue
		}
		values, err := targetsIn(x.Classes[it.Label], len(counts))
		if err != nil {
			continue // impossible, since readRecord and columns.text have checked the text
		}
		for j, v := range values {
			if v > 0.5 {
				counts[j]++
			}
		}
	}
	return counts
}
