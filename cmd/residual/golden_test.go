package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/prepare"
)

// goldenWidths are the widths of terminals whose text is kept in testdata/golden.
var goldenWidths = []int{40, 80, 120}

// screenLines is how many lines --help has at most, so that it fits a screen.
const screenLines = 50

// helpLines are the command lines that print help: of every command and topic.
func helpLines() (lines [][]string) {
	lines = append(lines, []string{"--help"})
	every(func(c *cobra.Command) {
		if path := strings.Fields(c.CommandPath())[1:]; len(path) > 0 {
			lines = append(lines, append(append([]string{}, path...), "--help"), append(append([]string{}, path...), "--help-all"))
		}
	})
	for _, t := range topics {
		lines = append(lines, []string{"help", t.name})
	}
	return lines
}

// tableLines are the command lines that print the main tables, of a model file that is here.
func tableLines(t *testing.T) [][]string {
	t.Helper()
	ds, err := data.Open(context.Background(), "garments", data.Options{Size: 1})
	if err != nil {
		t.Fatal(err)
	}
	e, err := models.Lookup("d2l-bnlenet")
	if err != nil {
		t.Fatal(err)
	}
	m := e.New(models.Config{Channels: 1})
	nn.Init(m, 1, nn.XavierUniform)
	bias := nn.Parameters(m)
	bias[len(bias)-1].Value.Data()[9] = 1000 // every image is of class 9
	info := checkpoint.Model{
		Architecture: e.Name, Dataset: "garments",
		Classes: ds.Info().Classes,
		Input:   prepare.Input{Channels: 1, Height: 28, Width: 28, Preprocess: prepare.Steps{Grey: true}},
	}
	if err := checkpoint.SaveModel("model.safetensors", info, nn.StateDict(m)); err != nil {
		t.Fatal(err)
	}
	return [][]string{
		{"models"}, {"models", "resnet50", "d2l-bnlenet"}, {"data", "list"},
		{"summary", "model.safetensors"}, {"summary", "resnet18", "--depth", "2"},
		{"eval", "model.safetensors", "--kernels", "portable", "--precision", "fp32", "--threads", "1", "--no-report"},
		{"train", "--data", "garments", "--print-config"},
	}
}

// changing are the parts of a text that no two runs have in common.
var changing = regexp.MustCompile(`[0-9.,]+ images/s`)

// printed runs command lines in a terminal of a width and returns all they print.
func printed(t *testing.T, width int, lines [][]string) string {
	t.Helper()
	t.Setenv("COLUMNS", fmt.Sprint(width))
	var b strings.Builder
	for _, args := range lines {
		status, stdout, stderr := call(args...)
		if status != 0 {
			t.Fatalf("%q: %s", args, stderr)
		}
		fmt.Fprintf(&b, "=== residual %s\n%s\n", strings.Join(args, " "), changing.ReplaceAllString(stdout, "... images/s"))
	}
	return b.String()
}

// golden compares a text with a file of testdata/golden, which -update rewrites.
func golden(t *testing.T, name, text string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(strings.ReplaceAll(string(want), "\r\n", "\n"), text); d != "" {
		t.Errorf("%s differs; `go test ./cmd/residual -run TestGolden -update` rewrites it (-want +got):\n%s", name, d)
	}
}

// fits demands that no line is wider than the terminal, one long word apart.
func fits(t *testing.T, width int, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\\\n ")
		if utf8.RuneCountInString(line) > width && strings.Contains(strings.TrimSpace(line), " ") && !strings.HasPrefix(line, "=== ") {
			t.Errorf("%d columns: %q is wider", width, line)
		}
	}
}

// keepsWords demands that every word of a narrow text is one of the wide text.
func keepsWords(t *testing.T, narrow, wide string) {
	t.Helper()
	plain := strings.NewReplacer("─", " ", ";", " ", "\\\n", " ", "(", " ", ")", " ")
	has := map[string]bool{}
	for _, w := range strings.Fields(plain.Replace(wide)) {
		has[w] = true
	}
	for _, w := range strings.Fields(plain.Replace(narrow)) {
		if !has[w] {
			t.Errorf("%q is in the narrow text and not in the wide one", w)
		}
	}
}

// The help of every command and topic, and the main tables, at 40, 80 and 120 columns.
func TestGolden(t *testing.T) {
	dir, err := filepath.Abs("testdata/golden")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	for name, lines := range map[string][][]string{"help": helpLines(), "tables": tableLines(t)} {
		pages := map[int]string{}
		for _, width := range goldenWidths {
			pages[width] = printed(t, width, lines)
			golden(t, filepath.Join(dir, fmt.Sprintf("%s-%d.txt", name, width)), pages[width])
			fits(t, width, pages[width])
		}
		keepsWords(t, pages[80], pages[120])
		keepsWords(t, pages[40], pages[120]+pages[80]) // a matrix gives way to a list
	}
}

// --help of every command fits a screen.
func TestHelpFitsAScreen(t *testing.T) {
	t.Setenv("COLUMNS", "80")
	for _, args := range helpLines() {
		if args[len(args)-1] != "--help" {
			continue
		}
		if _, stdout, _ := call(args...); strings.Count(stdout, "\n") > screenLines {
			t.Errorf("%q prints %d lines, more than %d; mark fewer flags as common, or shorten the first paragraph", args, strings.Count(stdout, "\n"), screenLines)
		}
	}
}

// The help of train has the twenty flags that most people use, and every flag is in a group.
func TestTwentyCommonFlags(t *testing.T) {
	cmd, _, err := newRoot().Find([]string{"train"})
	if err != nil {
		t.Fatal(err)
	}
	groups, _ := groupsOf(cmd.Flags())
	shown := 0
	for title, flags := range groups {
		if title == "" {
			t.Errorf("--%s of train is in no group", flags[0].Name)
		}
		for _, f := range flags {
			if noted(f, noteCommon) != "" {
				shown++
			}
		}
	}
	if shown != 20 {
		t.Errorf("%d flags are marked as common, want 20", shown)
	}
}
