package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/train"
	"github.com/residual-ml/residual/train/settings"
)

// libraryFiles parses the Go files of the packages that the program is made of, tests apart.
func libraryFiles(t *testing.T, visit func(path string, f *ast.File)) {
	t.Helper()
	const root = "../.."
	programs := []string{"cmd", "bench", "examples", ".git", ".ci"}
	set, files := token.NewFileSet(), 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		switch {
		case err != nil:
			return err
		case d.IsDir() && (slices.Contains(programs, rel) || d.Name() == "testdata"):
			return filepath.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		f, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		files++
		visit(filepath.ToSlash(rel), f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 200 {
		t.Fatalf("only %d files were found", files)
	}
}

// text is what a string literal says.
func text(n ast.Node) string {
	lit, ok := n.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return ""
	}
	s, _ := strconv.Unquote(lit.Value) // the compiler takes it
	return s
}

// Only the program names flags. Strings of the libraries name fields, by field.Errorf.
func TestLibrariesNameNoFlags(t *testing.T) {
	flag := regexp.MustCompile(`(^|[^A-Za-z0-9-])--[a-z]`)
	allowed := map[string]int{
		"train/settings/table.go": 10, // helps of flags, which speak of others
		"report/page/view.go":     3,  // properties of CSS
	}
	found := map[string]int{}
	libraryFiles(t, func(path string, f *ast.File) {
		ast.Inspect(f, func(n ast.Node) bool {
			if s := text(n); flag.MatchString(s) {
				if found[path]++; found[path] > allowed[path] {
					t.Errorf("%s: %q speaks of a flag; name the field with field.Errorf", path, s)
				}
			}
			return true
		})
	})
	for path, n := range allowed {
		if found[path] < n {
			t.Errorf("%s has %d strings with flags, fewer than the %d allowed; lower the number in this test", path, found[path], n)
		}
	}
}

// Every field that an error of a library names is a flag of some command, or a key of
// settings.yaml.
func TestFieldsHaveFlags(t *testing.T) {
	root, flags := newRoot(), map[string]bool{}
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		cmd.Flags().VisitAll(func(f *pflag.Flag) { flags["--"+f.Name] = true })
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit(root)
	known := func(name string) bool {
		words := flagFor(name)
		if command, ok := strings.CutPrefix(words, "residual "); ok {
			found, rest, err := root.Find(strings.Fields(command))
			return err == nil && found != root && len(rest) == 0
		}
		if s, ok := settings.Find(name); ok && words == s.Key {
			return true
		}
		return flags[words]
	}
	used := 0
	libraryFiles(t, func(path string, f *ast.File) {
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			if of, ok := call.Fun.(*ast.SelectorExpr); !ok || of.Sel.Name != "Errorf" || !strings.HasPrefix(fmt.Sprint(of.X), "field") {
				return true
			}
			for _, name := range field.Marks(text(call.Args[0])) {
				used++
				if !known(name) {
					t.Errorf("%s: {%s} is %s on the command line, which no command has", path, name, flagFor(name))
				}
			}
			return true
		})
	})
	if used < 60 {
		t.Errorf("only %d fields were found in errors", used)
	}
	for _, s := range settings.Table() {
		if !known(s.Field) {
			t.Errorf("the setting %s has no flag %s", s.Field, flagFor(s.Field))
		}
	}
}

func TestErrorsNameFlags(t *testing.T) {
	check := train.Config{LabelSmoothing: 2}.Check()
	for _, c := range []struct {
		err  error
		want string
	}{
		{check, "--label-smoothing 2: must be a share from 0 to below 1, such as 0.1"},
		{usageError{fmt.Errorf("--resume: %w", check)}, "--resume: --label-smoothing 2: must be a share from 0 to below 1, such as 0.1"},
		{train.Config{LastBatch: "odd"}.Check(), "last_batch odd is not known; choose one of: even, short"},
		{train.Config{Preparation: train.Preparation{CutMix: -1}}.Check(), "--cutmix -1: must be 0 for none, or the alpha of a Beta distribution, such as 1"},
		{train.Config{Preparation: train.Preparation{MaxPixels: -1}}.Check(), "--max-pixels -1: must be a number of pixels above 0, such as 100000000"},
		{train.Config{LayerDecay: 0.5, BackboneRate: 0.5}.Check(), "--backbone-lr-scale 0.5 and --layer-decay 0.5: both are of the layers' rates; give one of them"},
		{errors.New("disk full"), "disk full"},
	} {
		if got := errorText(c.err); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
