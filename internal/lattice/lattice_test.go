package lattice

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestImports checks that the imports of the module obey imports.txt, and that every name in
// imports.txt still exists.
func TestImports(t *testing.T) {
	text, err := os.Open("imports.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer text.Close()
	rules, err := parseRules(text)
	if err != nil {
		t.Fatalf("imports.txt: %v", err)
	}
	packages := readModule(t, filepath.Join("..", ".."))
	if len(packages) < 10 {
		t.Fatalf("found only %d packages: is the root of the module two folders up?", len(packages))
	}
	for _, complaint := range check(rules, packages) {
		t.Error(complaint)
	}
}

// check returns a complaint for every disagreement between the rules and the packages.
func check(rules []rule, packages map[string]source) []string {
	var complaints []string
	for _, name := range sorted(packages) {
		complaints = append(complaints, checkPackage(rules, packages, name)...)
	}
	for _, r := range rules {
		complaints = append(complaints, stale(r, packages)...)
	}
	return complaints
}

// checkPackage returns a complaint for every import of a package, or of its tests, that the
// rules do not allow.
func checkPackage(rules []rule, packages map[string]source, name string) []string {
	var complaints, allow, testAllow []string
	listed := false
	for _, r := range rules {
		switch {
		case !matches(r.packages, name):
		case r.test:
			testAllow = append(testAllow, r.allow...)
		default:
			listed = true
			allow = append(allow, r.allow...)
			for _, denied := range r.deny {
				if chain := reach(packages, name, denied); chain != nil {
					complaints = append(complaints, fmt.Sprintf("imports.txt:%d: %s must not reach %s, but imports %s",
						r.line, name, denied, strings.Join(chain, ", which imports ")))
				}
			}
		}
	}
	if !listed {
		return []string{fmt.Sprintf("package %s is not in imports.txt: add a line that says what it may import", name)}
	}
	pkg := packages[name]
	complaints = append(complaints, forbidden(pkg.imports, name, allow, packages)...)
	testAllow = append(testAllow, allow...)
	return append(complaints, forbidden(pkg.tests, name, append(testAllow, name), packages)...)
}

// forbidden returns a complaint for each import that no name of allow covers. The standard
// library is always allowed.
func forbidden(imports map[string][]string, name string, allow []string, packages map[string]source) []string {
	var complaints []string
	for _, path := range sorted(imports) {
		_, inModule := packages[path]
		covered := slices.ContainsFunc(allow, func(a string) bool {
			return inModule && matches(a, path) || isModule(a) && within(a, path)
		})
		if (inModule || isModule(path)) && !covered {
			complaints = append(complaints, fmt.Sprintf("%s: package %s may not import %s: see internal/lattice/imports.txt",
				imports[path][0], name, path))
		}
	}
	return complaints
}

// reach returns a chain of imports from a package to something inside denied, or nil. It
// follows the imports of packages of the module, not of their tests.
func reach(packages map[string]source, name, denied string) []string {
	type visit struct {
		name  string
		chain []string
	}
	seen := map[string]bool{name: true}
	for queue := []visit{{name: name}}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		for _, path := range sorted(packages[at.name].imports) {
			chain := append(slices.Clone(at.chain), path)
			if within(denied, path) {
				return chain
			}
			if _, inModule := packages[path]; inModule && !seen[path] {
				seen[path] = true
				queue = append(queue, visit{path, chain})
			}
		}
	}
	return nil
}

// stale returns the names in a rule that are obsolete: packages that do not exist, and
// modules that no package of the rule imports. An allowed package of the module may be
// unused.
func stale(r rule, packages map[string]source) []string {
	var complaints []string
	complain := func(format string, args ...any) {
		complaints = append(complaints, fmt.Sprintf("imports.txt:%d: stale: ", r.line)+fmt.Sprintf(format, args...))
	}
	exists := func(pattern string) bool {
		return slices.ContainsFunc(sorted(packages), func(name string) bool { return matches(pattern, name) })
	}
	if !exists(r.packages) {
		complain("no package %s", r.packages)
	}
	for _, a := range r.allow {
		if isModule(a) && !used(a, r, packages) {
			complain("nothing in %s imports %s", r.packages, a)
		}
		if !isModule(a) && !exists(a) {
			complain("no package %s", a)
		}
	}
	return complaints
}

// used reports whether a package of the rule, or its tests, imports a module.
func used(module string, r rule, packages map[string]source) bool {
	for name, pkg := range packages {
		if !matches(r.packages, name) {
			continue
		}
		for _, imports := range []map[string][]string{pkg.imports, pkg.tests} {
			for path := range imports {
				if within(module, path) {
					return true
				}
			}
		}
	}
	return false
}
