package lattice

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"
)

// module is the path every package of this module begins with.
const module = "github.com/residual-ml/residual"

// A source maps every import of one package to the files that import it. Packages of this
// module have their names inside the module.
type source struct {
	imports, tests map[string][]string
}

// readModule parses the import clauses of every Go file under root, for all systems and
// build tags, and returns the packages by name. Nested modules, testdata and hidden
// folders do not belong to the module.
func readModule(t *testing.T, root string) map[string]source {
	t.Helper()
	packages := map[string]source{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if path != root && outside(path, d.Name()) {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(path) != ".go" {
			return nil
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		return addFile(packages, path, filepath.ToSlash(rel))
	})
	if err != nil {
		t.Fatal(err)
	}
	return packages
}

// outside reports whether a folder does not belong to the module, by the rules of the go
// command.
func outside(path, name string) bool {
	if name == "testdata" || name == "vendor" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") {
		return true
	}
	_, err := os.Stat(filepath.Join(path, "go.mod"))
	return err == nil
}

// addFile adds the imports of the file at path, called rel inside the module.
func addFile(packages map[string]source, path, rel string) error {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		return err
	}
	dir := "."
	if i := strings.LastIndexByte(rel, '/'); i >= 0 {
		dir = rel[:i]
	}
	pkg, ok := packages[dir]
	if !ok {
		pkg = source{imports: map[string][]string{}, tests: map[string][]string{}}
		packages[dir] = pkg
	}
	into := pkg.imports
	if strings.HasSuffix(rel, "_test.go") {
		into = pkg.tests
	}
	for _, spec := range file.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return err
		}
		name = strings.TrimPrefix(name, module+"/")
		into[name] = append(into[name], rel)
	}
	return nil
}

// sorted returns the keys of m in order, so that complaints come in order.
func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
