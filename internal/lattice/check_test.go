package lattice

import (
	"strings"
	"testing"
)

// small is a module of four packages that obeys its rules.
func small() map[string]source {
	pkg := func(imports, tests string) source {
		s := source{imports: map[string][]string{}, tests: map[string][]string{}}
		for _, path := range strings.Fields(imports) {
			s.imports[path] = []string{"a.go"}
		}
		for _, path := range strings.Fields(tests) {
			s.tests[path] = []string{"a_test.go"}
		}
		return s
	}
	return map[string]source{
		"tensor":      pkg("fmt", "testing tensor"),
		"graph":       pkg("tensor math", "testing example.org/diff/cmp"),
		"weights/npy": pkg("tensor io", "testing"),
		"train":       pkg("graph weights/npy example.org/bar", "graph"),
	}
}

const smallRules = `
tensor:
graph: tensor # a comment
weights/...: tensor !net !os/exec
train: graph weights/... example.org/bar
test *: example.org/diff
`

// TestCheckComplains breaks each rule in the small module and expects a complaint.
func TestCheckComplains(t *testing.T) {
	imports := func(name, path string) func(map[string]source) {
		return func(m map[string]source) { m[name].imports[path] = []string{"b.go"} }
	}
	for _, c := range []struct {
		name, rules string
		change      func(map[string]source)
		want        string
	}{
		{name: "as it should be"},
		{name: "upward import", change: imports("tensor", "graph"), want: "b.go: package tensor may not import graph"},
		{name: "unnamed module", change: imports("graph", "example.org/foo"), want: "may not import example.org/foo"},
		{name: "module in the wrong package", change: imports("graph", "example.org/bar/sub"), want: "may not import example.org/bar/sub"},
		{name: "a test's module outside tests", change: imports("graph", "example.org/diff/cmp"), want: "b.go: package graph may not import"},
		{name: "network", change: imports("weights/npy", "net/http"), want: "must not reach net, but imports net/http"},
		{name: "another program, through a package", change: imports("tensor", "os/exec"), want: "weights/npy must not reach os/exec, but imports tensor, which imports os/exec"},
		{name: "new package", change: func(m map[string]source) { m["serve"] = m["tensor"] }, want: "package serve is not in imports.txt"},
		{name: "test imports", change: func(m map[string]source) { m["tensor"].tests["train"] = []string{"b_test.go"} }, want: "b_test.go: package tensor may not import train"},
		{name: "test line", rules: "test tensor: train", change: func(m map[string]source) { m["tensor"].tests["train"] = []string{"b_test.go"} }},
		{name: "package gone", rules: "dist: tensor", want: "stale: no package dist"},
		{name: "allowed package gone", rules: "train: optim", want: "stale: no package optim"},
		{name: "module no longer used", rules: "train: example.org/gone", want: "stale: nothing in train imports example.org/gone"},
	} {
		t.Run(c.name, func(t *testing.T) {
			rules, err := parseRules(strings.NewReader(smallRules + c.rules))
			if err != nil {
				t.Fatal(err)
			}
			packages := small()
			if c.change != nil {
				c.change(packages)
			}
			got := strings.Join(check(rules, packages), "\n")
			if c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("complaints:\n%s\nwant %q", got, c.want)
			}
		})
	}
}

func TestParseRulesNamesTheLine(t *testing.T) {
	for _, text := range []string{"tensor graph", "two words: tensor", ": tensor"} {
		_, err := parseRules(strings.NewReader("\n" + text + "\n"))
		if err == nil || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%q: %v, want an error naming line 2", text, err)
		}
	}
}
