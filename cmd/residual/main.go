// Command residual trains, examines and uses residual networks. It reads flags, calls the
// packages of this module, and prints; it has no logic of its own.
//
// A file is named after its command: data_check.go is `residual data check`. More of a command
// follows after its name, as in bench_text.go. What several commands share is named after what
// it is: flags_ are flags, file_ are files that a user names, show_ is how results, errors and
// progress are shown, and help_ has the topics of the help. main.go runs a command line, and root.go lists the commands. A test
// holds every file to this rule.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
)

func main() {
	if os.Getenv("GOGC") == "" {
		// Nearly all memory is planned and lives as long as the program, and by default
		// the collector would let as much garbage grow beside it. To collect more often
		// costs little, because planned memory holds no pointers.
		debug.SetGCPercent(10)
	}
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// run executes one command line and returns the exit status: 0, or 1 when the
// job failed, or 2 when the command line could not be understood, or 130 and 143 when Ctrl-C
// and SIGTERM ended it. Whatever went wrong becomes one line on stderr.
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
	signals := new(caught)
	cmd, err := root.ExecuteContextC(context.WithValue(ctx, caughtKey{}, signals))
	if failed := out.failure(); failed != nil {
		err = fmt.Errorf("standard output: %w", failed)
	}
	if err == nil {
		return 0
	}
	if !errors.Is(err, errReported) {
		text := oneLine(errorText(err))
		if signals.status() != 0 && errors.Is(err, context.Canceled) {
			err = errors.New("interrupted")
			text = err.Error()
		}
		if cmd.Flags().Lookup("max-pixels") != nil {
			text = imageError(err)
		}
		fmt.Fprintln(stderr, "residual:", text)
	}
	if interrupted := signals.status(); interrupted != 0 {
		return interrupted
	}
	if usage := (usageError{}); errors.As(err, &usage) {
		return 2
	}
	return 1
}
