package main

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"text/tabwriter"
)

// key names a training of a sweep.
type key struct {
	pair  string
	per   int
	trial string
	seed  int
}

// results are the trainings that were made, and the file that has them.
type results struct {
	path string
	of   map[key]result
}

// readResults reads the file, if it is there.
func readResults(path string) (*results, error) {
	r := &results{path, map[key]result{}}
	f, err := os.Open(path)
	if os.IsNotExist(err) {
		return r, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var k key
		var v result
		parts := strings.Split(lines.Text(), "\t")
		if len(parts) != 8 || strings.HasPrefix(parts[0], "#") {
			continue
		}
		k.pair, k.trial = parts[0], parts[2]
		numbers := strings.Join([]string{parts[1], parts[3], parts[4], parts[5], parts[6], parts[7]}, " ")
		if _, err := fmt.Sscan(numbers, &k.per, &k.seed, &v.Steps, &v.Accuracy, &v.Best, &v.Seconds); err != nil {
			return nil, fmt.Errorf("%s: %q: %w", path, lines.Text(), err)
		}
		r.of[k] = v
	}
	return r, nil
}

func (r *results) has(k key) bool {
	_, ok := r.of[k]
	return ok
}

// add appends a training to the file.
func (r *results) add(k key, v result) error {
	_, err := os.Stat(r.path)
	f, openErr := os.OpenFile(r.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
	if openErr != nil {
		return openErr
	}
	if os.IsNotExist(err) {
		fmt.Fprintln(f, "# pair\timages a class\ttrial\tseed\tsteps\taccuracy of the last epoch\tof the best\tseconds")
	}
	fmt.Fprintf(f, "%s\t%d\t%s\t%d\t%d\t%.4f\t%.4f\t%.0f\n", k.pair, k.per, k.trial, k.seed, v.Steps, v.Accuracy, v.Best, v.Seconds)
	r.of[k] = v
	return f.Close()
}

// table writes the mean accuracy of the last epochs, with the number of seeds behind it.
func (r *results) table(w io.Writer, per []int) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "trial")
	for _, p := range pairs {
		for _, n := range per {
			fmt.Fprintf(t, "\t%s, %d", p.name, n)
		}
	}
	fmt.Fprintln(t)
	for _, of := range trials {
		fmt.Fprint(t, of.name)
		for _, p := range pairs {
			for _, n := range per {
				fmt.Fprint(t, "\t"+r.mean(p.name, n, of.name))
			}
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}

// mean returns the mean of all seeds as text.
func (r *results) mean(pair string, per int, trial string) string {
	sum, squares, n := 0.0, 0.0, 0.0
	for k, v := range r.of {
		if k.pair == pair && k.per == per && k.trial == trial {
			sum, squares, n = sum+v.Accuracy, squares+v.Accuracy*v.Accuracy, n+1
		}
	}
	switch n {
	case 0:
		return "not run"
	case 1:
		return fmt.Sprintf("%.3f", sum)
	}
	std := math.Sqrt(max(0, squares-sum*sum/n) / (n - 1))
	return fmt.Sprintf("%.3f ± %.3f (%.0f)", sum/n, std, n)
}
