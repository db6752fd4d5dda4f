package build

import (
	"go/ast"
	"path/filepath"
	"testing"
)

// plainJSON are the files that write JSON by encoding/json, and why they may.
var plainJSON = map[string]string{
	"internal/number/number.go":      "number is what the others use",
	"internal/number/encode.go":      "number is what the others use",
	"checkpoint/metrics.go":          "writes a string, and numbers by number.Append",
	"checkpoint/model.go":            "Metrics are texts that number.Append made",
	"bench/serve/servers.go":         "asks another server for an image's class, in a module of its own",
	"data/folder/imagecachemarks.go": "has no floating-point number",
	"data/folder/imagecachefile.go":  "has no floating-point number",
	"examples/12-serve/main.go":      "an inference.Prediction encodes its own number",
	"exchange/claims.go":             "shows in an error what a JSON file says",
	"hub/hub.go":                     "has no floating-point number",
	"weights/safetensors/write.go":   "writes strings",
}

// TestJSON holds the module to one form of numbers in JSON: package number encodes whatever
// may have one, so that a NaN neither fails nor has a form of its own.
func TestJSON(t *testing.T) {
	found := map[string]bool{}
	eachSource(t, func(name string, f *ast.File) {
		ast.Inspect(f, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			pkg, ok := s.X.(*ast.Ident)
			if ok && pkg.Name == "json" && (s.Sel.Name == "Marshal" || s.Sel.Name == "MarshalIndent" || s.Sel.Name == "NewEncoder") {
				found[name] = true
				if plainJSON[name] == "" {
					t.Errorf("%s uses json.%s; package internal/number has its like for every number", name, s.Sel.Name)
				}
			}
			return true
		})
	})
	for name := range plainJSON {
		if !found[name] {
			t.Errorf("%s no longer writes JSON itself; take it off the list", filepath.FromSlash(name))
		}
	}
}
