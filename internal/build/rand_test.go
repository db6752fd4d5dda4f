package build

import (
	"go/ast"
	"strings"
	"testing"
)

// TestRandomNumbers holds the module to package internal/rng: others name the types of
// math/rand/v2, and call none of its functions.
func TestRandomNumbers(t *testing.T) {
	eachSource(t, func(name string, f *ast.File) {
		if strings.HasPrefix(name, "internal/rng/") || strings.HasPrefix(name, "examples/") { // an example shows what users write, and they have no internal packages
			return
		}
		for _, i := range f.Imports {
			if i.Path.Value == `"math/rand"` || i.Path.Value == `"crypto/rand"` {
				t.Errorf("%s imports %s; internal/rng has the generators", name, i.Path.Value)
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if pkg, ok := s.X.(*ast.Ident); ok && pkg.Name == "rand" && s.Sel.Name != "Source" && s.Sel.Name != "Rand" {
				t.Errorf("%s uses rand.%s; internal/rng has the generators", name, s.Sel.Name)
			}
			return true
		})
	})
}
