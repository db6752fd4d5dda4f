package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"unicode"
	"unicode/utf8"
)

// terminal is an output that a person looks at. Names of files and classes may hold
// control characters, which would command the terminal: they are written as Go escapes
// them. What goes elsewhere keeps its bytes.
type terminal struct {
	w    io.Writer
	fd   func() uintptr
	lock sync.Mutex
	held []byte // the beginning of a character
}

// asTerminal wraps w where it is a terminal.
func asTerminal(w io.Writer) io.Writer {
	f, ok := w.(descriptor)
	if !ok {
		return w
	}
	if file, ok := w.(*os.File); ok {
		if info, err := file.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
			return w
		}
	}
	return &terminal{w: w, fd: f.Fd}
}

// Fd is the descriptor behind it, by which the size of the terminal is known.
func (t *terminal) Fd() uintptr { return t.fd() }

// direct is w for a display of the program's own that moves the cursor or has colours.
// What it shows of names it makes printable itself.
func direct(w io.Writer) io.Writer {
	if t, ok := w.(*terminal); ok {
		return t.w
	}
	return w
}

func (t *terminal) Write(p []byte) (int, error) {
	t.lock.Lock()
	defer t.lock.Unlock()
	text := append(t.held, p...)
	t.held = nil
	out := make([]byte, 0, len(text)+16)
	for len(text) > 0 {
		if !utf8.FullRune(text) {
			t.held = append(t.held, text...)
			break
		}
		r, n := utf8.DecodeRune(text)
		switch {
		case r == utf8.RuneError && n == 1:
			out = fmt.Appendf(out, `\x%02x`, text[0])
		case r == '\n' || r == '\t' || !commands(r):
			out = append(out, text[:n]...)
		case r < utf8.RuneSelf:
			out = fmt.Appendf(out, `\x%02x`, r)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		text = text[n:]
	}
	if _, err := t.w.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// commands tells whether a terminal obeys r in place of showing it: control characters,
// and those that turn the direction of writing.
func commands(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
}
