package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/residual-ml/residual/measure"
	"github.com/residual-ml/residual/report"
)

// modelsMarkdown writes the tables of docs/models.md, one for each family. Multiply-adds are
// for one image of the model's own size. With speeds the tables have a column of them, and a
// text above explains it.
func modelsMarkdown(w io.Writer, rows []modelRow, s *measure.Speeds) error {
	var b strings.Builder
	title, rule := "", ""
	if s != nil {
		b.WriteString(speedsText(s) + "\n")
		title, rule = " images/s, training and inference |", "--:|"
	}
	family := ""
	for _, r := range rows {
		if r.Family != family {
			if family != "" {
				b.WriteString("\n")
			}
			family = r.Family
			fmt.Fprintf(&b, "## %s\n\n| model | parameters | multiply-adds |%s input | classes | blocks | images are |\n|---|--:|--:|%s---|--:|---|---|\n", family, title, rule)
		}
		macs, err := multiplyAdds(r.Name)
		if err != nil {
			return err
		}
		speed := ""
		if m, ok := s.Of(r.Name); ok {
			speed = fmt.Sprintf(" %s, %s |", rate(m.Train), rate(m.Infer))
		} else if s != nil {
			speed = " – |"
		}
		fmt.Fprintf(&b, "| [%s](%s) | %s | %s |%s %s | %d | %s | %s |\n", r.Name, firstLink(r.Source),
			report.Count(r.Parameters), report.Count(macs), speed, inputText(r), r.Classes, joinInts(r.Blocks), prepared(r))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// firstLink returns the first address in a source.
func firstLink(source string) string {
	at := max(strings.Index(source, "https://"), 0)
	end := strings.IndexAny(source[at:], ";, ")
	if end < 0 {
		return source[at:]
	}
	return source[at : at+end]
}
