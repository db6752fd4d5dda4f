package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"unicode"
	"unicode/utf8"
)

// terminal is an output that is a terminal. Names of files and classes may hold control
// characters, which a terminal would obey, so they are written as Go escapes them. Any other
// output gets the bytes unchanged.
type terminal struct {
	w    io.Writer
	fd   func() uintptr
	lock sync.Mutex
	held []byte // the beginning of a character
}

// asTerminal wraps w if it is a terminal.
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

// Fd returns the descriptor of the terminal, which tells its size.
func (t *terminal) Fd() uintptr { return t.fd() }

// direct returns w for a display that moves the cursor or has colours. Such a display makes
// names printable itself.
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

// commands reports whether a terminal obeys r instead of showing it: control characters, and
// characters that change the direction of writing.
func commands(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
}
