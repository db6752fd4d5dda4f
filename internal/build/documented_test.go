package build

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestExportedIdentifiersAreDocumented requires a doc comment for every package and for every
// exported identifier of the packages that other modules can import.
func TestExportedIdentifiersAreDocumented(t *testing.T) {
	root := filepath.Join("..", "..")
	names := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if path != root {
			if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil || d.Name() == "internal" || d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") {
				return filepath.SkipDir
			}
		}
		files, err := parsePackage(path)
		if err != nil || len(files) == 0 {
			return err
		}
		missing, checked := undocumented(files)
		names += checked
		for _, name := range missing {
			t.Errorf("%s: %s has no doc comment", filepath.ToSlash(path), name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if names < 500 {
		t.Errorf("found only %d exported identifiers: is the root of the module two folders up?", names)
	}
}

// parsePackage parses the Go files of a folder for every system, without its tests.
func parsePackage(dir string) (files []*ast.File, err error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

// undocumented returns the exported identifiers of a package without a doc comment, and how
// many exported identifiers there are. The comment of a constant or variable may also be that
// of its group, or follow on its line. A method that an interface of its package or of the
// standard library documents needs no comment of its own. In a main package only the package
// itself needs a comment.
func undocumented(files []*ast.File) (missing []string, checked int) {
	if !slices.ContainsFunc(files, func(f *ast.File) bool { return f.Doc.Text() != "" }) {
		missing = append(missing, "package "+files[0].Name.Name)
	}
	if files[0].Name.Name == "main" {
		return missing, 0
	}
	note := func(name string, comments ...*ast.CommentGroup) {
		checked++
		if !slices.ContainsFunc(comments, func(c *ast.CommentGroup) bool { return c.Text() != "" }) {
			missing = append(missing, name)
		}
	}
	promised := interfaceMethods(files)
	for _, f := range files {
		for _, decl := range f.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				receiver := receiverName(d)
				if d.Name.IsExported() && (receiver == "" || ast.IsExported(receiver) && !promised[d.Name.Name]) {
					note(strings.TrimPrefix(receiver+"."+d.Name.Name, "."), d.Doc)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch s := spec.(type) {
					case *ast.TypeSpec:
						if s.Name.IsExported() {
							note(s.Name.Name, s.Doc, d.Doc)
						}
					case *ast.ValueSpec:
						for _, name := range s.Names {
							if name.IsExported() {
								note(name.Name, s.Doc, s.Comment, d.Doc)
							}
						}
					}
				}
			}
		}
	}
	return missing, checked
}

// interfaceMethods returns the names of the methods of documented interfaces: those that the
// files declare, and error, fmt.Stringer and those of package errors.
func interfaceMethods(files []*ast.File) map[string]bool {
	names := map[string]bool{"Error": true, "String": true, "Unwrap": true, "Is": true}
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			i, ok := n.(*ast.InterfaceType)
			if !ok {
				return true
			}
			for _, m := range i.Methods.List {
				for _, name := range m.Names {
					if m.Doc.Text() != "" || m.Comment.Text() != "" {
						names[name.Name] = true
					}
				}
			}
			return true
		})
	}
	return names
}

// receiverName returns the name of a method's receiver type, or "" for a function.
func receiverName(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return ""
	}
	x := d.Recv.List[0].Type
	for {
		switch e := x.(type) {
		case *ast.StarExpr:
			x = e.X
		case *ast.IndexExpr:
			x = e.X
		case *ast.IndexListExpr:
			x = e.X
		case *ast.Ident:
			return e.Name
		default:
			return ""
		}
	}
}

func TestUndocumented(t *testing.T) {
	const source = `package p

// T is documented.
type T struct{}

type U[A any] struct{}

// M is documented.
func (T) M() {}

func (*U[A]) N() {}

func (hidden) Shown() {}

// I is documented.
type I interface {
	O() // O is documented.
	P()
}

func (T) O() {}

func (T) P() {}

func (T) Error() string { return "" }

type hidden int

const (
	A = 1 // A is documented.
	B = 2
)

// These are documented together.
var (
	C int
	D int
)

func E() {}
`
	f, err := parser.ParseFile(token.NewFileSet(), "p.go", source, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	missing, checked := undocumented([]*ast.File{f})
	if want := []string{"package p", "U", "U.N", "T.P", "B", "E"}; !slices.Equal(missing, want) || checked != 11 {
		t.Errorf("of %d identifiers %q are undocumented, want %q of 11", checked, missing, want)
	}
}
