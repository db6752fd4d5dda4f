package folder

import (
	"fmt"
	"strconv"
	"strings"
)

// firstFew lists the first of many classes for a message.
func firstFew(classes []string) string {
	const maxNames = 20
	if more := len(classes) - maxNames; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(classes[:maxNames], ", "), more)
	}
	return strings.Join(classes, ", ")
}

// ascii lists names in ASCII, so that names that look the same can be told apart.
func ascii(names []string) string {
	parts := make([]string, len(names))
	for i, name := range names {
		parts[i] = strconv.QuoteToASCII(name)
	}
	return strings.Join(parts, " and ")
}

// quoted lists names in the form "a", "b" and "c".
func quoted(names []string) string {
	parts := make([]string, len(names))
	for i, name := range names {
		parts[i] = fmt.Sprintf("%q", name)
	}
	last := len(parts) - 1
	if last < 1 {
		return strings.Join(parts, "")
	}
	return strings.Join(parts[:last], ", ") + " and " + parts[last]
}
