package exchange

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/residual-ml/residual/prepare"
)

// UnsaidError is the error of a file that leaves something open which ModelConfig must say,
// or that says it in a way that is not supported.
type UnsaidError struct {
	Path   string
	Why    string
	Fields []string // fields of ModelConfig, or of its Images, that answer it
	Any    bool     // one of the fields is enough
}

// Error names the fields of ModelConfig to set.
func (e *UnsaidError) Error() string {
	names := slices.Clone(e.Fields)
	for i, name := range names {
		if _, ok := reflect.TypeFor[prepare.Choice]().FieldByName(name); ok {
			names[i] = "Images." + name
		}
	}
	return e.With(names, "in ModelConfig")
}

// With returns the message with other names for the fields, such as flags; where says where they are set.
func (e *UnsaidError) With(names []string, where string) string {
	and := " and "
	if e.Any {
		and = " or "
	}
	text := fmt.Sprintf("%s; give %s", e.Why, strings.Join(names, and))
	if e.Path != "" {
		text = e.Path + ": " + text
	}
	return strings.TrimSpace(text + " " + where)
}

// withPath adds the file's path to an error.
func withPath(path string, err error) error {
	if e := new(UnsaidError); errors.As(err, &e) {
		return &UnsaidError{Path: path, Why: e.Why, Fields: e.Fields, Any: e.Any}
	}
	return fmt.Errorf("%s: %w", path, err)
}

// both joins two errors, so that the user is asked for everything at once.
func both(a, b error) error {
	x, y := new(UnsaidError), new(UnsaidError)
	if !errors.As(a, &x) || !errors.As(b, &y) {
		return cmp.Or(a, b)
	}
	return &UnsaidError{Why: x.Why + "; " + y.Why, Fields: slices.Concat(x.Fields, y.Fields)}
}
