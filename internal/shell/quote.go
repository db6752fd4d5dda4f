// Package shell writes the words of commands that a message suggests.
package shell

import (
	"fmt"
	"runtime"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Quote writes a file's path as one word for the shell of this system: a POSIX shell, or
// on Windows cmd.exe and PowerShell. A path that begins with a dash, which a program would
// take for a flag, gets ./ in front.
func Quote(path string) string { return quote(path, runtime.GOOS == "windows") }

func quote(path string, windows bool) string {
	if strings.HasPrefix(path, "-") {
		if windows {
			path = `.\` + path
		} else {
			path = "./" + path
		}
	}
	switch {
	case path != "" && strings.IndexFunc(path, func(r rune) bool { return !plain(r, windows) }) < 0 && utf8.ValidString(path):
		return path
	case windows: // where no path has a quotation mark
		return `"` + path + `"`
	case utf8.ValidString(path) && strings.IndexFunc(path, unprintable) < 0:
		return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
	}
	return escaped(path)
}

// plain reports whether a shell takes r as it stands.
func plain(r rune, windows bool) bool {
	switch {
	case r < utf8.RuneSelf:
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' ||
			strings.ContainsRune("_-./:+", r) || windows && r == '\\' || !windows && strings.ContainsRune("@%=,", r)
	case r == utf8.RuneError:
		return false
	}
	return unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsDigit(r)
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) && r != ' ' }

// escaped writes bytes that no terminal shows as the escapes of $'...'.
func escaped(path string) string {
	var b strings.Builder
	b.WriteString("$'")
	for len(path) > 0 {
		r, n := utf8.DecodeRuneInString(path)
		switch {
		case r == '\'' || r == '\\':
			b.WriteString(`\` + path[:n])
		case r == utf8.RuneError && n == 1 || unprintable(r):
			for _, c := range []byte(path[:n]) {
				fmt.Fprintf(&b, `\%03o`, c)
			}
		default:
			b.WriteString(path[:n])
		}
		path = path[n:]
	}
	return b.String() + "'"
}
