package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/residual-ml/residual/report"
)

// plural writes a number of things: 1 image, 2 images.
func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// rate writes images/s with as many digits as are meaningful.
func rate(v float64) string {
	if v < 100 {
		return fmt.Sprintf("%.2f", v)
	}
	return report.Count(int64(v + 0.5))
}

// right is a column of a table whose cells end at the right, as figures do.
func right(title string) report.Column { return report.Column{Title: title, Align: report.Right} }

// say writes text to w. If the width of w is known, lines are broken between words, except lines
// with a command to copy.
func say(w io.Writer, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	width := report.Columns(w)
	if width == 0 {
		io.WriteString(w, text) // output remembers a failure
		return
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if !strings.Contains(line, "residual ") {
			lines[i] = report.Wrap(line, width, line[:len(line)-len(strings.TrimLeft(line, " "))])
		}
	}
	io.WriteString(w, strings.Join(lines, "\n"))
}

func joinInts(ints []int) string {
	var words []string
	for _, n := range ints {
		words = append(words, strconv.Itoa(n))
	}
	return strings.Join(words, ", ")
}

// about writes an estimated time.
func about(d time.Duration) string { return "about " + report.Duration(d.Round(time.Second)) }
