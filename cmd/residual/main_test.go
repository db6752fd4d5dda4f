package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/internal/portable"
	"github.com/residual-ml/residual/tensor"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"residual": main})
}

// TestScripts runs the program as a user does.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir+"/home")
			e.Setenv("XDG_CACHE_HOME", e.WorkDir+"/home/cache")
			e.Setenv("LOCALAPPDATA", e.WorkDir+"/home/cache")
			e.Setenv("RESIDUAL_DATA", "")
			graphs, err := filepath.Abs("../../inference/testdata")
			e.Setenv("GRAPHS", graphs)
			return err
		},
		Condition: func(name string) (bool, error) {
			if name != "noasm" { // a script that says [noasm] skip gives the reason, as portable.Skip does
				return false, fmt.Errorf("condition %s is not known", name)
			}
			return portable.Build, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"fails":   fails,
			"model":   writeModel,
			"image":   writeImage,
			"cut":     cut,
			"await":   await,
			"hub":     serveHub,
			"weights": writeForeign,
			"outside": moveOutside,
			"encode":  encode,
			"split":   splitWeights,
		},
	})
}

// call runs a command line inside the test.
func call(args ...string) (status int, stdout, stderr string) {
	var out, err bytes.Buffer
	status = run(context.Background(), args, &out, &err)
	return status, out.String(), err.String()
}

// every calls f for each command.
func every(f func(*cobra.Command)) {
	var visit func(*cobra.Command)
	visit = func(c *cobra.Command) {
		f(c)
		for _, sub := range c.Commands() {
			if sub.Name() != "completion" && sub.Name() != "help" {
				visit(sub)
			}
		}
	}
	visit(newRoot())
}

// Every command has a short description, help, and examples whose flags exist.
func TestHelp(t *testing.T) {
	every(func(c *cobra.Command) {
		if c.Short == "" {
			t.Errorf("%s: no short description", c.CommandPath())
		}
		args := append(strings.Fields(c.CommandPath())[1:], "--help")
		if status, stdout, stderr := call(args...); status != 0 || !strings.Contains(stdout, "Usage:") || stderr != "" {
			t.Errorf("%s --help: status %d, stderr %q", c.CommandPath(), status, stderr)
		}
		if c.HasParent() && c.Example == "" {
			t.Errorf("%s: no examples", c.CommandPath())
		}
		for line := range strings.Lines(c.Example) {
			words := strings.Fields(line)
			if len(words) == 0 {
				continue
			}
			root := newRoot()
			found, rest, err := root.Find(words[1:])
			if words[0] != "residual" || err != nil || found == root || found.ParseFlags(rest) != nil {
				t.Errorf("%s: the example %q is not understood", c.CommandPath(), line)
			}
		}
	})
}

// Every command answers an unknown flag with one line that says which help lists the flags.
func TestUnknownFlag(t *testing.T) {
	every(func(c *cobra.Command) {
		args := append(strings.Fields(c.CommandPath())[1:], "--no-such-flag")
		status, stdout, stderr := call(args...)
		if status != 2 || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "no-such-flag") || !strings.Contains(stderr, "--help") {
			t.Errorf("%v: status %d, stdout %q, stderr %q", args, status, stdout, stderr)
		}
	})
}

func TestPanicsBecomeOneLine(t *testing.T) {
	if got := panicLine(tensor.Misusef("Conv2d: 3 channels\nwants 1")); got != "Conv2d: 3 channels wants 1" {
		t.Errorf("a shape error became %q", got)
	}
	if got := panicLine("lost count"); !strings.HasPrefix(got, "internal fault: lost count; ") {
		t.Errorf("a fault became %q", got)
	}
	defer func() {
		if got := panicLine(recover()); strings.Contains(got, "\n") || !strings.Contains(got, "index out of range") || !strings.Contains(got, "residual doctor") {
			t.Errorf("a fault became %q", got)
		}
	}()
	var none []int
	_ = none[len(os.Args)]
}
