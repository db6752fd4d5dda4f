package main

import "strings"

// markdown is a table of a Markdown file.
type markdown struct{ b strings.Builder }

func newMarkdown(titles ...string) *markdown {
	t := &markdown{}
	t.row(titles...)
	t.b.WriteString(strings.Repeat("|---", len(titles)) + "|\n")
	return t
}

func (t *markdown) row(cells ...string) {
	for _, c := range cells {
		c = strings.NewReplacer("|", `\|`, "\n", " ").Replace(c)
		t.b.WriteString("| " + c + " ")
	}
	t.b.WriteString("|\n")
}

func (t *markdown) String() string { return t.b.String() }
