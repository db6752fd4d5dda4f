package main

import (
	"bytes"
	"os"
	"testing"
)

func TestTerminalShowsControlCharacters(t *testing.T) {
	for in, want := range map[string]string{
		"plain, ünïcode, 画像\t|\n":       "plain, ünïcode, 画像\t|\n",
		"\x1b]0;title\a\x1b[2Jgone.jpg": `\x1b]0;title\x07\x1b[2Jgone.jpg`,
		"a\rb\bc\x7f":                   `a\x0db\x08c\x7f`,
		"\u009b31mred":                  `\u009b31mred`,
		"gpj\u202e.exe\u2066\u2028":     `gpj\u202e.exe\u2066\u2028`,
		"caf\xe9.png":                   `caf\xe9.png`,
	} {
		for _, pieces := range [][]string{{in}, {in[:len(in)/2], in[len(in)/2:]}} {
			var b bytes.Buffer
			w := &terminal{w: &b}
			for _, p := range pieces {
				if n, err := w.Write([]byte(p)); n != len(p) || err != nil {
					t.Fatal(n, err)
				}
			}
			if got := b.String(); got != want {
				t.Errorf("%q in %d pieces is shown as %q, want %q", in, len(pieces), got, want)
			}
		}
	}
}

// An output that is no terminal gets the bytes unchanged, and so does a display of the program's own.
func TestOnlyTerminalsEscape(t *testing.T) {
	f, err := os.Create(t.TempDir() + "/f")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if w := asTerminal(f); w != f {
		t.Errorf("a file became %T", w)
	}
	var b bytes.Buffer
	if w := asTerminal(&b); w != &b {
		t.Errorf("a buffer became %T", w)
	}
	if w := direct(&terminal{w: &b}); w != &b {
		t.Errorf("a display writes to %T", w)
	}
}
