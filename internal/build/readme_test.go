package build

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	goBlock  = regexp.MustCompile("(?s)```go\n(.*?)```")
	testLink = regexp.MustCompile(`\]\(([a-z/]+/[a-z_]+_test\.go)\)`)
	output   = regexp.MustCompile(`(?s)func Example\w*\(\) \{.*// Output:`)
)

// TestReadmeIsRun checks that tests run the Go code of both READMEs. Each block must be part
// of one of the Examples that they name or of examples/notes, except for its indent, and
// each of those Examples must have an output to compare.
func TestReadmeIsRun(t *testing.T) {
	root := filepath.Join("..", "..")
	read := func(name string) string {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for _, name := range []string{"README.md", "README.zh-CN.md"} {
		page := read(name)
		programs := []string{flush(read("examples/notes/main.go"))}
		links := testLink.FindAllStringSubmatch(page, -1)
		if len(links) < 6 {
			t.Errorf("%s names %d Examples, where there are six kinds", name, len(links))
		}
		for _, link := range links {
			text := read(link[1])
			if !output.MatchString(text) {
				t.Errorf("%s names %s, which has no Example with an output", name, link[1])
			}
			programs = append(programs, flush(text))
		}
		blocks := goBlock.FindAllStringSubmatch(page, -1)
		if len(blocks) < 2 {
			t.Errorf("%s shows %d pieces of Go", name, len(blocks))
		}
		for _, block := range blocks {
			found := false
			for _, p := range programs {
				found = found || strings.Contains(p, flush(block[1]))
			}
			if !found {
				t.Errorf("%s: no program that the tests run has this code:\n%s", name, block[1])
			}
		}
	}
}

// flush returns text without indents.
func flush(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimLeft(line, "\t")
	}
	return strings.Join(lines, "\n")
}
