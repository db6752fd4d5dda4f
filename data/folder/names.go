package folder

import (
	"fmt"
	"strconv"
	"strings"
)

// firstFew names the first of many classes.
func firstFew(classes []string) string {
	const most = 20
	if more := len(classes) - most; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(classes[:most], ", "), more)
	}
	return strings.Join(classes, ", ")
}

// ascii lists names that look the same so that they do not.
func ascii(names []string) string {
	parts := make([]string, len(names))
	for i, name := range names {
		parts[i] = strconv.QuoteToASCII(name)
	}
	return strings.Join(parts, " and ")
}

// quoted lists names: "a", "b" and "c".
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
