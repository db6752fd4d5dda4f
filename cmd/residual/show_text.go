package main

import (
	"fmt"

	"github.com/residual-ml/residual/report"
)

// plural writes a number of things: 1 image, 2 images.
func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// rate writes images a second with as many digits as mean something.
func rate(v float64) string {
	if v < 100 {
		return fmt.Sprintf("%.2f", v)
	}
	return report.Count(int64(v + 0.5))
}

// right is a column of a table whose cells end at the right, as figures do.
func right(title string) report.Column { return report.Column{Title: title, Align: report.Right} }
