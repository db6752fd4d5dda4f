// Package nearest finds the names that are most like a mistyped one.
package nearest

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// maxNames is the largest number of names that Of returns.
const maxNames = 3

// Of returns the names that are most like word, at most three, in their own order. It returns
// nil if no name is like it. Case, spaces, hyphens and underscores make no difference. If no
// name is near, Of returns those that begin or end with word.
func Of(word string, names []string) []string {
	typed := plain(word)
	if typed == "" {
		return nil
	}
	best := 1 + limit(typed)
	var near []string
	for _, name := range names {
		d := distance(typed, plain(name))
		if d < best {
			best, near = d, nil
		}
		if d == best && d <= limit(typed) && !slices.Contains(near, name) {
			near = append(near, name)
		}
	}
	if near == nil && len(typed) > 2 {
		for _, name := range names {
			if p := plain(name); strings.HasPrefix(p, typed) || strings.HasSuffix(p, typed) {
				near = append(near, name)
			}
		}
	}
	return near[:min(len(near), maxNames)]
}

// Question asks whether one of the names nearest to word was meant, as "did you mean resnet18
// or resnet34?". It returns "" if none is near. Each name is written in form, a format with one verb,
// such as %q.
func Question(word string, names []string, form string) string {
	near := slices.Clone(Of(word, names))
	if len(near) == 0 {
		return ""
	}
	for i, name := range near {
		near[i] = fmt.Sprintf(form, name)
	}
	text, last := "", near[len(near)-1]
	if len(near) > 1 {
		text = strings.Join(near[:len(near)-1], ", ") + " or "
	}
	return "did you mean " + text + last + "?"
}

// Aside returns Question followed by a space, for the middle of a text, or "" if there is no question.
func Aside(word string, names []string, form string) string {
	if question := Question(word, names, form); question != "" {
		return question + " "
	}
	return ""
}

// limit is the largest distance between a typed word and the name that was meant.
func limit(typed string) int { return max(1, len(typed)/4) }

// plain returns a name in lower case, without spaces, hyphens and underscores.
func plain(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || unicode.IsSpace(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, name)
}

// distance returns the optimal string alignment distance: how many letters must be inserted,
// deleted, replaced or swapped with the next one to turn a into b.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	var before []int
	row := make([]int, len(y)+1)
	for j := range row {
		row[j] = j
	}
	for i := range x {
		next := make([]int, len(y)+1)
		next[0] = i + 1
		for j := range y {
			changed := row[j]
			if x[i] != y[j] {
				changed++
			}
			next[j+1] = min(row[j+1]+1, next[j]+1, changed)
			if i > 0 && j > 0 && x[i] == y[j-1] && x[i-1] == y[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row = row, next
	}
	return row[len(y)]
}
