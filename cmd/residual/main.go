// Command residual trains, examines and uses residual networks. It reads flags, calls the
// packages of this module, and prints; it has no logic of its own.
//
// A file is named after its command: data_check.go is `residual data check`. More of a command
// follows after its name, as in bench_text.go. What several commands share is named after what
// it is: flags_ are flags, file_ are files that a user names, and show_ is how results, errors
// and progress are shown. main.go runs a command line, and root.go lists the commands. A test
// holds every file to this rule.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/residual-ml/residual/tensor"
)

func main() {
	if os.Getenv("GOGC") == "" {
		// Nearly all memory is planned and lives as long as the program, so the
		// collector would let as much rubbish pile up beside it. Looking often
		// costs little: there are no pointers in it.
		debug.SetGCPercent(10)
	}
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// run executes one command line and returns the exit status: 0, or 1 when the
// job failed, or 2 when the command line could not be understood. Whatever went
// wrong becomes one line on stderr.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (status int) {
	defer func() {
		if r := recover(); r != nil {
			fmt.Fprintln(stderr, "residual:", panicLine(r))
			status = 1
		}
	}()
	root, out := newRoot(), &output{w: stdout}
	root.SetArgs(args)
	root.SetOut(asFile(out))
	root.SetErr(asTerminal(stderr))
	stderr = root.ErrOrStderr()
	cmd, err := root.ExecuteContextC(ctx)
	if failed := out.failure(); failed != nil {
		err = fmt.Errorf("standard output: %w", failed)
	}
	if err == nil {
		return 0
	}
	if !errors.Is(err, errReported) {
		text := oneLine(errorText(err))
		if cmd.Flags().Lookup("max-pixels") != nil {
			text = imageError(err)
		}
		fmt.Fprintln(stderr, "residual:", text)
	}
	if usage := (usageError{}); errors.As(err, &usage) {
		return 2
	}
	return 1
}

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

// mostOfError is how many bytes of an error are shown: what it quotes of a file may be
// as long as the file.
const mostOfError = 4096

// oneLine joins the lines of an error, and leaves out the middle of one that is too long
// to be read.
func oneLine(s string) string {
	if half := mostOfError / 2; len(s) > mostOfError {
		s = strings.ToValidUTF8(s[:half], "") + " ... " + strings.ToValidUTF8(s[len(s)-half:], "")
	}
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }), " ")
}
