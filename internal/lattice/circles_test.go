package lattice

import (
	"errors"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestCircles checks that the files of a package need each other in one direction, as
// packages do: a file needs another where it names a package-level name or a method that the
// other declares. Two halves of one idea may need each other; a circle of more than two is
// a knot, in which no file can be read first. To mend one, move what both ends need into a
// file below them, or what chooses among them into a file above.
func TestCircles(t *testing.T) {
	root := filepath.Join("..", "..")
	dirs := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && path != root && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".")) {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, ".go") {
			dirs[filepath.Dir(path)] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range slices.Sorted(maps.Keys(dirs)) {
		p, err := build.ImportDir(dir, 0)
		if none := (*build.NoGoError)(nil); errors.As(err, &none) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		files := map[string]string{}
		for _, name := range p.GoFiles {
			files[filepath.Join(dir, name)] = ""
		}
		needs, err := fileNeeds(files)
		if err != nil {
			t.Fatal(err)
		}
		name, err := filepath.Rel(root, dir)
		if err != nil {
			t.Fatal(err)
		}
		name = filepath.ToSlash(name)
		for _, c := range circles(needs) {
			t.Errorf("%s: these files need each other: %s", name, strings.Join(c, " "))
			for _, from := range c {
				for _, to := range c {
					if names := needs[from][to]; len(names) > 0 {
						t.Logf("\t%s names %s of %s", from, strings.Join(slices.Sorted(maps.Keys(names)), " "), to)
					}
				}
			}
		}
	}
}

// edges are, for each file, the files that it needs, with the names.
type edges map[string]map[string]map[string]bool

// fileNeeds reads the files of a package: their content, or the file itself where that is "".
func fileNeeds(contents map[string]string) (edges, error) {
	fset := token.NewFileSet()
	var files []*ast.File
	receivers := map[*ast.Ident]bool{} // a receiver does not need the file of its type
	for _, path := range slices.Sorted(maps.Keys(contents)) {
		var content any
		if contents[path] != "" {
			content = contents[path]
		}
		f, err := parser.ParseFile(fset, path, content, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
		for _, d := range f.Decls {
			if m, ok := d.(*ast.FuncDecl); ok && m.Recv != nil {
				ast.Inspect(m.Recv, func(n ast.Node) bool {
					if id, ok := n.(*ast.Ident); ok {
						receivers[id] = true
					}
					return true
				})
			}
		}
	}
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}, Selections: map[*ast.SelectorExpr]*types.Selection{}}
	config := types.Config{Importer: nothing{}, Error: func(error) {}, FakeImportC: true} // what imports declare is of no account
	pkg, _ := config.Check("p", fset, files, info)
	needs := edges{}
	for id, used := range info.Uses {
		if used == nil || used.Pkg() != pkg || receivers[id] || !declaredAtTop(pkg, used) {
			continue
		}
		from, to := filepath.Base(fset.Position(id.Pos()).Filename), filepath.Base(fset.Position(used.Pos()).Filename)
		if from == to {
			continue
		}
		if needs[from] == nil {
			needs[from] = map[string]map[string]bool{}
		}
		if needs[from][to] == nil {
			needs[from][to] = map[string]bool{}
		}
		needs[from][to][used.Name()] = true
	}
	return needs, nil
}

// declaredAtTop reports whether o is a package-level name or a method of one of the package's
// types; a method of an interface belongs to the interface.
func declaredAtTop(pkg *types.Package, o types.Object) bool {
	f, ok := o.(*types.Func)
	if !ok || f.Signature().Recv() == nil {
		return o.Parent() == pkg.Scope()
	}
	return !types.IsInterface(f.Signature().Recv().Type())
}

// nothing is an importer that has no packages: the uses within a package are found without.
type nothing struct{}

func (nothing) Import(string) (*types.Package, error) { return nil, errors.New("not imported") }

// circles lists the sets of more than two files that all need each other, directly or
// through others.
func circles(needs edges) (found [][]string) {
	reach := map[string]map[string]bool{}
	for from := range needs {
		seen := map[string]bool{}
		for next := []string{from}; len(next) > 0; {
			file := next[0]
			next = next[1:]
			for to := range needs[file] {
				if !seen[to] {
					seen[to] = true
					next = append(next, to)
				}
			}
		}
		reach[from] = seen
	}
	done := map[string]bool{}
	for _, file := range slices.Sorted(maps.Keys(needs)) {
		var circle []string
		for _, other := range slices.Sorted(maps.Keys(needs)) {
			if !done[other] && reach[file][other] && reach[other][file] {
				circle = append(circle, other)
			}
		}
		for _, other := range circle {
			done[other] = true
		}
		if len(circle) > 2 {
			found = append(found, circle)
		}
	}
	return found
}

func TestFileNeeds(t *testing.T) {
	const a, b, c = "package p\ntype A struct{}\nfunc useB() { B() }\n", "package p\nfunc B() { A{}.c() }\n", "package p\nfunc (a A) c() {}\n"
	for _, k := range []struct {
		name    string
		files   map[string]string
		circles [][]string
	}{
		{"a receiver is no need", map[string]string{"a.go": a, "b.go": b, "c.go": c}, nil},
		{"a method is one", map[string]string{"a.go": a, "b.go": b, "c.go": c + "func d() { useB() }\n"}, [][]string{{"a.go", "b.go", "c.go"}}},
		{"two may", map[string]string{"a.go": "package p\nfunc A() { B() }\n", "b.go": "package p\nimport \"elsewhere\"\nfunc B() { A(); elsewhere.C() }\n"}, nil},
		{"a field is no need", map[string]string{
			"a.go": "package p\ntype A struct{ n int }\nfunc f() { g() }\n", "b.go": "package p\nfunc g() { h() }\n", "c.go": "package p\nfunc h() { x := v(); _ = x.n }\nfunc v() struct{ n int } { return struct{ n int }{} }\n",
		}, nil},
	} {
		needs, err := fileNeeds(k.files)
		if err != nil {
			t.Fatal(err)
		}
		if got := circles(needs); !slices.EqualFunc(got, k.circles, slices.Equal[[]string]) {
			t.Errorf("%s: %v, want %v", k.name, got, k.circles)
		}
	}
}
