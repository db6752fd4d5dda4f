package build

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	pageLink = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	codePath = regexp.MustCompile("`([a-z]+(?:/[a-zA-Z_*]+)*/[a-zA-Z_]+\\.(?:go|txt|py|txtar))`")
)

// TestPagesNameExistingFiles checks that every relative link of the READMEs and of docs, and
// every file that docs/adding.md and docs/architecture.md name, exists.
func TestPagesNameExistingFiles(t *testing.T) {
	root := filepath.Join("..", "..")
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"README.md", "README.zh-CN.md", "CONTRIBUTING.md", "CHANGELOG.md", "bench/README.md", "examples/README.md"} {
		pages = append(pages, filepath.Join(root, name))
	}
	there := func(path string) bool {
		found, err := filepath.Glob(path)
		return err == nil && len(found) > 0
	}
	links := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range pageLink.FindAllStringSubmatch(string(text), -1) {
			target, _, _ := strings.Cut(m[1], "#")
			if target == "" || strings.Contains(target, ":") {
				continue
			}
			links++
			if !there(filepath.Join(filepath.Dir(page), filepath.FromSlash(target))) {
				t.Errorf("%s links to %s, which does not exist", page, m[1])
			}
		}
		switch filepath.Base(page) {
		case "adding.md", "architecture.md":
			for _, m := range codePath.FindAllStringSubmatch(string(text), -1) {
				if strings.Contains(m[1], "NAME") || strings.Contains(m[1], "FAMILY") {
					continue
				}
				if !there(filepath.Join(root, filepath.FromSlash(m[1]))) {
					t.Errorf("%s names %s, which does not exist", page, m[1])
				}
			}
		}
	}
	if links < 60 {
		t.Errorf("found only %d links: has their form changed?", links)
	}
}
