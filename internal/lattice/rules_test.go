package lattice

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// A rule is one line of imports.txt.
type rule struct {
	line     int
	test     bool     // the rule is about the tests of the packages
	packages string   // the packages of the rule: a name, dir/... or *
	allow    []string // packages of the module (patterns too) and other modules
	deny     []string // the names after !
}

// parseRules parses the text of imports.txt.
func parseRules(r io.Reader) ([]rule, error) {
	var rules []rule
	in := bufio.NewScanner(r)
	for line := 1; in.Scan(); line++ {
		text, _, _ := strings.Cut(in.Text(), "#")
		if strings.TrimSpace(text) == "" {
			continue
		}
		left, right, ok := strings.Cut(text, ":")
		subject := strings.Fields(left)
		next := rule{line: line}
		if len(subject) == 2 && subject[0] == "test" {
			next.test, subject = true, subject[1:]
		}
		if !ok || len(subject) != 1 {
			return nil, fmt.Errorf("line %d: want \"package: names...\" or \"test package: names...\", have %q", line, text)
		}
		next.packages = subject[0]
		for _, name := range strings.Fields(right) {
			if denied, ok := strings.CutPrefix(name, "!"); ok {
				next.deny = append(next.deny, denied)
			} else {
				next.allow = append(next.allow, name)
			}
		}
		rules = append(rules, next)
	}
	return rules, in.Err()
}

// matches reports whether a pattern (a name, dir/... or *) covers a package.
func matches(pattern, name string) bool {
	if dir, ok := strings.CutSuffix(pattern, "/..."); ok {
		return within(dir, name)
	}
	return pattern == "*" || pattern == name
}

// within reports whether name is dir or something inside it.
func within(dir, name string) bool {
	return name == dir || strings.HasPrefix(name, dir+"/")
}

// isModule reports whether a name is a module's path and no package of the
// standard library or of this module: its first element holds a dot.
func isModule(name string) bool {
	first, _, _ := strings.Cut(name, "/")
	return strings.Contains(first, ".")
}
