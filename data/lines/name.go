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

// LongestName is the most bytes that the name of a class may have.
const LongestName = 1000

// Name returns s as names of classes are compared and written: composed (Unicode's NFC;
// macOS decomposes the names of folders), every kind of space, such as one that does not
// break, as a plain one, none at either end, and without byte order marks and spaces of
// no width. s must be UTF-8.
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

// ClassName is Name for the name of a class in a file, and says what is wrong with one that
// cannot be.
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

// Names reads names of classes, one a line. Lines without one may be at the end alone.
func Names(r io.Reader) (names []string, err error) {
	empty := 0 // the first of such lines
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
			return nil, fmt.Errorf("line %d is empty; give one name a line", empty)
		default:
			names = append(names, name)
		}
	}
	return names, nil
}

// Alike lists, each list in order, the names that differ in case and in spaces alone: they are
// different, but few mean them so.
func Alike(names []string) (groups [][]string) {
	at := map[string]int{} // place of a folded name among the groups
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

// Path returns the path that a line names: as it is written if something is there, else
// without the spaces around it, composed or decomposed, or with slashes for backslashes:
// the program that wrote the line, or its system, may have changed them. Where none is
// there it is the one without spaces.
func Path(written string, there func(path string) bool) string {
	if there(written) {
		return written
	}
	plain := strings.TrimFunc(written, func(c rune) bool { return unicode.IsSpace(c) || c == '\ufeff' })
	if !utf8.ValidString(plain) {
		return plain
	}
	slashed := strings.ReplaceAll(plain, `\`, "/")
	for _, path := range []string{plain, norm.NFC.String(plain), norm.NFD.String(plain), slashed, norm.NFC.String(slashed), norm.NFD.String(slashed)} {
		if path != written && there(path) {
			return path
		}
	}
	return plain
}

// Short returns s for a message: as it is, or its first part where it is long.
func Short(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
