package build

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// ownRecovers lists the files that call recover without tensor.Recovered, with the reason.
var ownRecovers = map[string]string{
	"cmd/residual/main.go":          "prints the last line of a program that fails",
	"engine/cpu/pool.go":            "panics again with the same value, on the caller's goroutine",
	"inference/queue.go":            "panics again with the same value, on the goroutines of the callers",
	"internal/promptly/promptly.go": "panics again with the same value, on the caller's goroutine",
	"nn/cut.go":                     "leaves a Forward at the cut, and panics again with any other value",
	"data/photo/inspect.go":         "makes an error of a decoder's panic over a damaged file",
	"serve/core.go":                 "carries a panic from a goroutine of a request to its handler, as an error that is logged with its stack",
	"serve/guard.go":                "answers the request with status 500 and logs the stack, so that other requests go on",
}

// TestRecovers checks that only a tensor.Misuse becomes an error, by tensor.Recovered, so that
// a bug never looks like bad input.
func TestRecovers(t *testing.T) {
	found := map[string]bool{}
	eachSource(t, func(name string, f *ast.File) {
		if bareRecovers(f) > 0 {
			found[name] = true
			if ownRecovers[name] == "" {
				t.Errorf("%s calls recover outside of tensor.Recovered(recover())", name)
			}
		}
	})
	for name := range ownRecovers {
		if !found[name] {
			t.Errorf("%s no longer calls recover; take it off the list", name)
		}
	}
}

// bareRecovers counts the calls of recover whose result is not the argument of Recovered.
func bareRecovers(f *ast.File) int {
	bare := 0
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if s, ok := call.Fun.(*ast.SelectorExpr); ok && s.Sel.Name == "Recovered" {
			return false
		}
		if id, ok := call.Fun.(*ast.Ident); ok && id.Name == "recover" {
			bare++
		}
		return true
	})
	return bare
}

// eachSource parses every Go file of the module that is no test. Names have slashes.
func eachSource(t *testing.T, do func(name string, f *ast.File)) {
	t.Helper()
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		do(filepath.ToSlash(name), f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
