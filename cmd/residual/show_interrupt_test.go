package main

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// Ctrl-C ends a command with status 130, and SIGTERM with 143, as shells have it: a training,
// which saves first, and a measurement, which leaves nothing.
func TestStatusOfSignals(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no interrupt that one program sends to another")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	training := []string{"train", "--data", "garments", "--train-size", "640", "--test-size", "50", "--epochs", "100000", "--no-report", "--out", t.TempDir()}
	for _, c := range []struct {
		args   []string
		begun  string // on standard error
		signal syscall.Signal
		status int
	}{
		{training, "train-1", syscall.SIGINT, 130},
		{training, "train-2", syscall.SIGTERM, 143},
		{[]string{"lr-find", "--data", "garments", "--steps", "100000", "--diverged", "1e9", "--out", t.TempDir()}, "planned", syscall.SIGINT, 130},
	} {
		cmd := exec.Command(self, c.args...)
		cmd.Args[0] = "residual" // which the test program then is; see TestMain
		stderr, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		sent := false
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			if !sent && strings.Contains(lines.Text(), c.begun) {
				sent = true
				if err := cmd.Process.Signal(c.signal); err != nil {
					t.Error(err)
				}
			}
		}
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != c.status {
			t.Errorf("%q after %v: %v, want status %d", c.args, c.signal, err, c.status)
		}
	}
}
