package checkpoint

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/internal/number"
)

// MetricsLog appends rows to metrics.csv and metrics.jsonl. A row is written with one
// call, so a program that dies leaves complete lines; a line that a power failure cut
// short is dropped when the log is next opened. It is not safe for concurrent use.
type MetricsLog struct {
	columns []string
	table   lines // metrics.csv
	objects lines // metrics.jsonl
}

// Metrics opens the run's log with the given columns. It creates the files, or appends
// to those of an interrupted run. It fails when the run has a log with other columns.
func (r *Run) Metrics(columns ...string) (*MetricsLog, error) {
	for i, c := range columns {
		if c == "" || strings.ContainsAny(c, "\r\n") || slices.Contains(columns[:i], c) {
			return nil, fmt.Errorf("column %d of the metrics, %q: must be one line and unlike the others", i+1, c)
		}
	}
	if len(columns) == 0 {
		return nil, errors.New("metrics need at least one column")
	}
	m := &MetricsLog{columns: slices.Clone(columns)}
	head, err := csvLine(columns)
	if err != nil {
		return nil, err
	}
	if m.table, err = openLines(r.Path(metricsTable), head); err != nil {
		return nil, err
	}
	if m.objects, err = openLines(r.Path(metricsRows), nil); err != nil {
		m.table.f.Close()
		return nil, err
	}
	return m, nil
}

// Append writes one row: a map with string keys, or a struct or a pointer to
// one, whose fields are named by their json tags or else by their own names in
// lower case. Values are numbers, strings and booleans. A column without a value,
// or with a nil pointer, is empty in the CSV and left out of the JSON; a value
// without a column is an error. In the JSON, NaN is null and the infinities are strings, as
// of a Number; the CSV has NaN, +Inf and -Inf.
func (m *MetricsLog) Append(row any) error {
	values, err := rowValues(row)
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	cells := make([]string, len(m.columns))
	object := []byte{'{'}
	for i, column := range m.columns {
		v, ok := values[column]
		if !ok {
			continue
		}
		delete(values, column)
		text, jsonText, err := encodeValue(v)
		if err != nil {
			return fmt.Errorf("metrics: %s: %w", column, err)
		}
		if len(object) > 1 {
			object = append(object, ',')
		}
		object = append(append(append(object, jsonString(column)...), ':'), jsonText...)
		cells[i] = text
	}
	for name := range values {
		return fmt.Errorf("metrics: no column %q; the columns are %s", name, strings.Join(m.columns, ", "))
	}
	line, err := csvLine(cells)
	if err != nil {
		return err
	}
	before := m.table.size
	if err := m.table.add(line); err != nil {
		return err
	}
	if err := m.objects.add(append(object, '}', '\n')); err != nil {
		m.table.cut(before) // both files get the row, or neither
		return err
	}
	return nil
}

// Sync syncs both files to disk.
func (m *MetricsLog) Sync() error { return errors.Join(m.table.sync(), m.objects.sync()) }

// Close syncs both files to disk and closes them.
func (m *MetricsLog) Close() error {
	return errors.Join(m.table.close(), m.objects.close())
}

// rowValues returns the values of a row by their column.
func rowValues(row any) (map[string]reflect.Value, error) {
	values := map[string]reflect.Value{}
	set := func(name string, v reflect.Value) {
		for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
			v = v.Elem()
		}
		if v.IsValid() {
			values[name] = v
		}
	}
	v := reflect.ValueOf(row)
	for v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	switch {
	case v.Kind() == reflect.Map && v.Type().Key().Kind() == reflect.String:
		for it := v.MapRange(); it.Next(); {
			set(it.Key().String(), it.Value())
		}
	case v.Kind() == reflect.Struct:
		fields, err := number.Fields(v)
		if err != nil {
			return nil, err
		}
		for _, f := range fields {
			if !f.Tagged {
				f.Name = strings.ToLower(f.Name)
			}
			set(f.Name, f.Value)
		}
	default:
		return nil, fmt.Errorf("a row of type %T; give a struct or a map with string keys", row)
	}
	return values, nil
}

// encodeValue formats a value as a CSV cell and as JSON.
func encodeValue(v reflect.Value) (cell string, jsonText []byte, err error) {
	switch {
	case v.CanFloat():
		return strconv.FormatFloat(v.Float(), 'g', -1, v.Type().Bits()), number.Append(nil, v.Float(), v.Type().Bits()), nil
	case v.CanInt():
		cell = strconv.FormatInt(v.Int(), 10)
	case v.CanUint():
		cell = strconv.FormatUint(v.Uint(), 10)
	case v.Kind() == reflect.Bool:
		cell = strconv.FormatBool(v.Bool())
	case v.Kind() == reflect.String && strings.ContainsAny(v.String(), "\r\n"):
		return "", nil, fmt.Errorf("%.100q has several lines", v.String())
	case v.Kind() == reflect.String:
		return v.String(), jsonString(v.String()), nil
	default:
		return "", nil, fmt.Errorf("a value of type %v; give a number, a string or a boolean", v.Type())
	}
	return cell, []byte(cell), nil
}

// jsonString returns s as a JSON string.
func jsonString(s string) []byte {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // marshalling a string cannot fail
	}
	return b
}

// csvLine returns cells as a line of CSV.
func csvLine(cells []string) ([]byte, error) {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	if err := w.Write(cells); err != nil {
		return nil, err
	}
	w.Flush()
	return b.Bytes(), w.Error()
}

// lines is a file that consists of complete lines.
type lines struct {
	path string
	f    lineFile
	size int64
}

type lineFile interface {
	io.WriterAt
	Truncate(size int64) error
	Sync() error
	Close() error
}

// openLines opens or creates a file that starts with the line head, if any, and drops an
// incomplete last line.
func openLines(path string, head []byte) (lines, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return lines{}, field.Errorf("metrics cannot be written: %w; choose another folder with {Out}", err)
	}
	l := lines{path: path, f: f}
	if err := l.resume(f, head); err != nil {
		f.Close()
		return lines{}, err
	}
	return l, nil
}

// resume seeks to the end of the complete lines in r, which must begin with head.
func (l *lines) resume(r io.Reader, head []byte) error {
	old, err := io.ReadAll(r)
	if err != nil {
		return field.Errorf("%s: %w; choose another folder with {Out}", l.path, err)
	}
	n := min(len(old), len(head))
	if !bytes.Equal(old[:n], head[:n]) { // a shorter file may be an incomplete head
		first, _, _ := bytes.Cut(old, []byte{'\n'})
		return fmt.Errorf("%s has the columns %.200q, not %q; give the new run a folder of its own", l.path, first, bytes.TrimSpace(head))
	}
	l.size = int64(bytes.LastIndexByte(old, '\n') + 1)
	if err := l.f.Truncate(l.size); err != nil {
		return field.Errorf("%s: %w; choose another folder with {Out}", l.path, err)
	}
	if l.size == 0 && len(head) > 0 {
		return l.add(head)
	}
	return nil
}

// add appends one line completely or not at all.
func (l *lines) add(line []byte) error {
	if _, err := l.f.WriteAt(line, l.size); err != nil {
		l.cut(l.size)
		return fmt.Errorf("%s: %w; check that the disk has room", l.path, err)
	}
	l.size += int64(len(line))
	return nil
}

// cut truncates the file to size, as far as a failing disk allows. It ignores its own
// error, since the caller reports the one that led here.
func (l *lines) cut(size int64) {
	l.size = size
	l.f.Truncate(size)
}

func (l *lines) sync() error {
	if err := l.f.Sync(); err != nil {
		return fmt.Errorf("%s: %w; check the disk", l.path, err)
	}
	return nil
}

func (l *lines) close() error {
	if err := errors.Join(l.f.Sync(), l.f.Close()); err != nil {
		return fmt.Errorf("%s: %w", l.path, err)
	}
	return nil
}
