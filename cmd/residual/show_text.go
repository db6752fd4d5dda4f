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

// eachClass writes the number of images of each class; of many classes only the smallest and the
// largest.
func eachClass(classes []string, counts []int) string {
	const most = 12
	if len(classes) > most {
		least, largest := 0, 0
		for i, n := range counts {
			if n < counts[least] {
				least = i
			}
			if n > counts[largest] {
				largest = i
			}
		}
		return fmt.Sprintf("%s %d to %s %d", classes[least], counts[least], classes[largest], counts[largest])
	}
	parts := make([]string, len(classes))
	for i, class := range classes {
		parts[i] = fmt.Sprintf("%s %d", class, counts[i])
	}
	return strings.Join(parts, ", ")
}

// few lists the first of many names.
func few(names []string) string {
	const most = 4
	if more := len(names) - most; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), more)
	}
	return strings.Join(names, ", ")
}
