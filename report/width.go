package report

import (
	"strings"
	"unicode"

	"github.com/mattn/go-runewidth"
)

// cells counts characters whose width Unicode calls ambiguous as one column, as
// current terminals draw them, whatever the reader's locale.
func cells() *runewidth.Condition {
	return &runewidth.Condition{StrictEmojiNeutral: true}
}

// textWidth is the number of terminal columns that s occupies. Escape sequences
// that set colours occupy none.
func textWidth(s string) int {
	return cells().StringWidth(withoutColor(s))
}

// withoutColor removes the sequences ESC [ ... letter.
func withoutColor(s string) string {
	if !strings.Contains(s, "\x1b[") {
		return s
	}
	var b strings.Builder
	for {
		i := strings.Index(s, "\x1b[")
		if i < 0 {
			b.WriteString(s)
			return b.String()
		}
		b.WriteString(s[:i])
		s = s[i+2:]
		end := strings.IndexFunc(s, func(r rune) bool { return r >= '@' && r <= '~' })
		if end < 0 {
			return b.String()
		}
		s = s[end+1:]
	}
}

// clip cuts plain text to at most width columns; the last one is an ellipsis
// where something was cut.
func clip(s string, width int) string {
	if width <= 0 {
		return ""
	}
	return cells().Truncate(s, width, "…")
}

// printable replaces control characters, so that text from a file or a file
// name can neither break a table nor send commands to the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n':
			return ' '
		case unicode.IsControl(r) || r == '\u2028' || r == '\u2029':
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// pad fills s with spaces to width columns.
func pad(s string, width int, a Align) string {
	gap := width - textWidth(s)
	if gap <= 0 {
		return s
	}
	if a == Right {
		return strings.Repeat(" ", gap) + s
	}
	return s + strings.Repeat(" ", gap)
}

// Align says to which side of its column a cell is aligned.
type Align int

const (
	Left  Align = iota // text
	Right              // numbers
)
