package exchange

import (
	"fmt"

	"github.com/residual-ml/residual/models"
)

// otherStems returns the variants of a match whose stem has the same shapes and another stride.
func otherStems(m models.Match) (others []models.Match) {
	for _, e := range variants(m.Entry) {
		other := m
		if other.Entry = e; other.Count() == m.Count() { // the kernel is all that differs in shape
			others = append(others, other)
		}
	}
	return others
}

// variants returns the model with each of the other stems that it has a choice of.
func variants(e models.Entry) (others []models.Entry) {
	for _, divides := range []int{1, 2, 4} {
		if other, err := e.WithStem(divides); err == nil && divides != e.Divides() {
			others = append(others, other)
		}
	}
	return others
}

// withStatedStem returns the match with the stem that the file names, if its shapes leave that open.
func (w *Weights) withStatedStem(m models.Match) models.Match {
	if w.contradicted(m) == nil {
		return m
	}
	for _, other := range otherStems(m) {
		if w.contradicted(other) == nil {
			return other
		}
	}
	return m
}

// stemNote tells which stride a stem is taken to have, if neither shapes nor names in the file tell; else "".
func (w *Weights) stemNote(m models.Match) string {
	others := otherStems(m)
	if len(others) == 0 || w.claimsName(m) {
		return ""
	}
	return fmt.Sprintf("nothing in the file tells the stride of the first convolution, which is taken to be %d; in %s it is %d",
		m.Entry.Divides(), others[0].Title(), others[0].Entry.Divides())
}
