// Package field words errors about the fields of a library's structs, so that a program
// which sets those fields by other names, such as flags, can show its own names instead.
//
//	field.Errorf("{Batch} %d: must be at least 1", n)
//
// reads "Batch 0: must be at least 1". Render with a function that returns "--batch" for
// "Batch" makes it "--batch 0: must be at least 1".
package field

import (
	"fmt"
	"regexp"
	"strings"
)

// Error is an error whose text names fields.
type Error interface {
	error

	// Named returns the text with name(field) in place of each field's name.
	Named(name func(field string) string) string
}

// mark matches a field's name in a format: {Batch}, or {Options.Dir} if Dir alone would be unclear.
var mark = regexp.MustCompile(`\{([A-Z][A-Za-z.]*)\}`)

// Marks lists the names of the fields in a format.
func Marks(format string) (names []string) {
	for _, m := range mark.FindAllStringSubmatch(format, -1) {
		names = append(names, m[1])
	}
	return names
}

// Errorf is fmt.Errorf for a format in which names of fields stand in braces. The error is
// an Error.
func Errorf(format string, args ...any) error {
	return &worded{format: format, args: args, wrapped: fmt.Errorf(format, args...), text: word(format, args, asIs)}
}

// Name is the name of a field as an argument of Errorf, for a format that cannot contain it.
type Name string

type worded struct {
	format  string
	args    []any
	wrapped error // the fmt.Errorf error, through which errors.Is and errors.As find what %w wraps
	text    string
}

func (e *worded) Error() string { return e.text }
func (e *worded) Unwrap() error { return e.wrapped }

func (e *worded) Named(name func(field string) string) string {
	args := make([]any, len(e.args))
	for i, a := range e.args {
		switch v := a.(type) {
		case Name:
			args[i] = name(string(v))
		case error:
			args[i] = reworded{v, Render(v, name)}
		default:
			args[i] = a
		}
	}
	return word(e.format, args, name)
}

// reworded is an error with another text.
type reworded struct {
	error
	text string
}

func (r reworded) Error() string { return r.text }

func asIs(field string) string { return field }

// word fills in a format, whose verbs may be those of fmt.Errorf.
func word(format string, args []any, name func(field string) string) string {
	format = mark.ReplaceAllStringFunc(format, func(m string) string {
		return strings.ReplaceAll(name(m[1:len(m)-1]), "%", "%%")
	})
	return fmt.Errorf(format, args...).Error()
}

// Render returns the text of err, in which every Error that it is, or wraps, has the names
// that name returns.
func Render(err error, name func(field string) string) string {
	if e, ok := err.(Error); ok {
		return e.Named(name)
	}
	text := err.Error()
	for _, inner := range unwrapped(err) {
		if inner == nil {
			continue
		}
		if was, is := inner.Error(), Render(inner, name); was != is {
			text = strings.Replace(text, was, is, 1)
		}
	}
	return text
}

func unwrapped(err error) []error {
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		return []error{e.Unwrap()}
	case interface{ Unwrap() []error }:
		return e.Unwrap()
	}
	return nil
}

// InText returns a text, such as a note, with name(Field) in place of each TYPE.Field of the
// struct type named.
func InText(text, structType string, name func(field string) string) string {
	named := regexp.MustCompile(`\b` + regexp.QuoteMeta(structType) + `\.([A-Z]\w*)`)
	return named.ReplaceAllStringFunc(text, func(m string) string { return name(m[len(structType)+1:]) })
}
