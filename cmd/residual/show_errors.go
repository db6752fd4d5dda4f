package main

import (
	"errors"
	"fmt"
	"runtime"
	"strings"

	"github.com/residual-ml/residual/tensor"
)

// errReported is returned by a command that has already said what was wrong.
var errReported = errors.New("already reported")

// usageError is a command line that cannot be understood: exit status 2.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// usagef makes an error about the command line itself: a flag's value, a
// missing argument.
func usagef(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// panicLine says what a panic was about. A tensor.Misuse, as about shapes that do not fit,
// names the operation; anything else is a fault of the program.
func panicLine(r any) string {
	if m, ok := r.(*tensor.Misuse); ok {
		return oneLine(m.Error())
	}
	text := fmt.Sprint(r)
	if err, ok := r.(runtime.Error); ok {
		text = err.Error()
	}
	return oneLine("internal fault: " + text + "; please report it with the command line and `residual doctor`")
}

// mostOfError is the number of bytes of an error that are shown, because an error may quote a
// whole file.
const mostOfError = 4096

// oneLine joins the lines of an error. It leaves out the middle of a text that is longer than
// mostOfError.
func oneLine(s string) string {
	if half := mostOfError / 2; len(s) > mostOfError {
		s = strings.ToValidUTF8(s[:half], "") + " ... " + strings.ToValidUTF8(s[len(s)-half:], "")
	}
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }), " ")
}
