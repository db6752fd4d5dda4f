package report

import (
	"io"
	"os"

	"golang.org/x/term"
)

// IsTerminal reports whether w is a file that is a terminal and understands cursor
// movement, which it does unless TERM is "dumb".
func IsTerminal(w io.Writer) bool {
	f, ok := w.(interface{ Fd() uintptr })
	return ok && !dumb() && term.IsTerminal(int(f.Fd())) && understandsEscapes(f.Fd())
}

// UseColor reports whether text for w should be coloured: w is a terminal and
// NO_COLOR is not set (https://no-color.org).
func UseColor(w io.Writer) bool { return colorWanted() && IsTerminal(w) }

// TerminalSize returns the number of columns and rows of w, or 80 and 24 where
// they are unknown.
func TerminalSize(w io.Writer) (columns, rows int) {
	if f, ok := w.(interface{ Fd() uintptr }); ok {
		if c, r, err := term.GetSize(int(f.Fd())); err == nil && c > 0 && r > 0 {
			return c, r
		}
	}
	return 80, 24
}

func dumb() bool        { return os.Getenv("TERM") == "dumb" }
func colorWanted() bool { return os.Getenv("NO_COLOR") == "" }
