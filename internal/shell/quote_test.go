package shell

import (
	"os/exec"
	"runtime"
	"strings"
	"testing"
)

var paths = []string{
	"runs/train-1/best.safetensors", "my runs/train 1", "it's", "$HOME/`x`", "-rf", "--data", "a\"b", "a;b&c|d>e<f(g)", "*.png", "~me", "#1", "!x",
	"a\\b", "straße/图片", "a\nb", "a\x1b[2Jb", "a\xffb", "a'b\nc", "", "a=b,c@d%e+f", "[x]{y}", "\ttab", "nb\u00a0sp", "rtl\u202e",
}

// A shell reads a quoted path back unchanged, apart from ./ before a dash.
func TestQuoteIsReadBack(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no POSIX shell")
	}
	shells := 0
	for _, shell := range []string{"bash", "zsh"} {
		if _, err := exec.LookPath(shell); err != nil {
			continue
		}
		shells++
		for _, path := range paths {
			want := path
			if strings.HasPrefix(path, "-") {
				want = "./" + path
			}
			out, err := exec.Command(shell, "-c", "printf '%s' "+quote(path, false)).Output()
			if err != nil || string(out) != want {
				t.Errorf("%s reads %s as %q, %v; want %q", shell, quote(path, false), out, err, want)
			}
		}
	}
	if shells == 0 {
		t.Skip("neither bash nor zsh is in PATH")
	}
}

func TestQuote(t *testing.T) {
	for _, c := range []struct{ path, posix, windows string }{
		{"runs/train-1", "runs/train-1", "runs/train-1"},
		{"my runs", "'my runs'", `"my runs"`},
		{"it's $5", `'it'\''s $5'`, `"it's $5"`},
		{"-x", "./-x", `.\-x`},
		{"- x", "'./- x'", `".\- x"`},
		{`C:\runs\train-1`, `'C:\runs\train-1'`, `C:\runs\train-1`},
		{"", "''", `""`},
		{"图片", "图片", "图片"},
		{"a\x1b[2J\xff", `$'a\033[2J\377'`, "\"a\x1b[2J\xff\""},
	} {
		if got := quote(c.path, false); got != c.posix {
			t.Errorf("%q is %s, want %s", c.path, got, c.posix)
		}
		if got := quote(c.path, true); got != c.windows {
			t.Errorf("%q is %s on Windows, want %s", c.path, got, c.windows)
		}
	}
}
