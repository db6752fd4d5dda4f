package report

import (
	"io"
	"os"

	"golang.org/x/term"
)

// IsTerminal says whether w is a terminal that understands cursor movement:
// a file that is a terminal, with TERM not "dumb".
func IsTerminal(w io.Writer) bool {
	f, ok := w.(interface{ Fd() uintptr })
	return ok && !dumb() && term.IsTerminal(int(f.Fd())) && understandsEscapes(f.Fd())
}

// UseColor says whether text for w should be coloured: w is a terminal and
// NO_COLOR is not set (https://no-color.org).
func UseColor(w io.Writer) bool { return colorWanted() && IsTerminal(w) }

// TerminalSize is the number of columns and rows of w, or 80 by 24 where it
// cannot be asked.
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
