package lines

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// LongestName is the largest length of a class name in bytes.
const LongestName = 1000

// Name normalises a class name for comparing and writing. It composes characters (Unicode NFC,
// since macOS decomposes folder names), replaces every kind of space by a plain one, and removes
// spaces at both ends, byte order marks and zero-width spaces. s must be UTF-8.
func Name(s string) string {
	return strings.TrimSpace(norm.NFC.String(strings.Map(func(c rune) rune {
		switch {
		case c == '\ufeff' || c == '\u200b' || c == '\u2060':
			return -1
		case unicode.IsSpace(c):
			return ' '
		}
		return c
	}, s)))
}

// ClassName is Name for a class name from a file. It returns an error for a name that is not UTF-8
// or is too long.
func ClassName(s string) (string, error) {
	if err := Check(s); err != nil {
		return "", err
	}
	s = Name(s)
	if len(s) > LongestName {
		return "", fmt.Errorf("%s has %d bytes; the name of a class has at most %d", Short(s), len(s), LongestName)
	}
	return s, nil
}

// Names reads class names, one per line. Empty lines are allowed only at the end.
func Names(r io.Reader) (names []string, err error) {
	empty := 0 // the number of the first empty line
	for lines := NewReader(r); ; {
		line, err := lines.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		name, err := ClassName(line)
		switch {
		case err != nil:
			return nil, fmt.Errorf("line %d: %w", lines.Number(), err)
		case name == "":
			empty = cmp.Or(empty, lines.Number())
		case empty > 0:
			return nil, fmt.Errorf("line %d is empty; give one name per line", empty)
		default:
			names = append(names, name)
		}
	}
	return names, nil
}

// Alike returns groups of names that differ only in case and spaces, in the order of names. They
// are different classes, but probably by mistake.
func Alike(names []string) (groups [][]string) {
	at := map[string]int{} // the group of each folded name
	for _, name := range names {
		key := strings.ToLower(strings.Join(strings.Fields(name), ""))
		i, ok := at[key]
		if !ok {
			i = len(groups)
			at[key] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], name)
	}
	n := 0
	for _, g := range groups {
		if len(g) > 1 {
			groups[n] = g
			n++
		}
	}
	return groups[:n]
}

// Path returns the path that a line means. It is the text as written if exists reports that such
// a file exists. Otherwise it is the first existing variant without surrounding spaces, composed
// or decomposed, or with slashes instead of backslashes, since the program or the system that
// wrote the line may have changed these. If none exists, it is the text without the spaces.
func Path(written string, exists func(path string) bool) string {
	if exists(written) {
		return written
	}
	plain := strings.TrimFunc(written, func(c rune) bool { return unicode.IsSpace(c) || c == '\ufeff' })
	if !utf8.ValidString(plain) {
		return plain
	}
	slashed := strings.ReplaceAll(plain, `\`, "/")
	for _, path := range []string{plain, norm.NFC.String(plain), norm.NFD.String(plain), slashed, norm.NFC.String(slashed), norm.NFD.String(slashed)} {
		if path != written && exists(path) {
			return path
		}
	}
	return plain
}

// Short shortens a long s for a message.
func Short(s string) string {
	const limit = 200
	if len(s) <= limit {
		return s
	}
	end := limit
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}
