package main

import (
	"fmt"
	"math/big"
)

// operation computes a value from others: a + c*b, or c*b if a is none. Values 0, 1, ...
// are the inputs of a transform; the results of its operations follow.
type operation struct {
	a, b int
	c    *big.Rat
}

const none = -1

// linear computes the product of a matrix and a vector of values.
type linear struct {
	ins  int
	ops  []operation
	outs []int // the value of each output
	seen map[string]int
}

// term is a value times a factor; a sum of terms is one output.
type term struct {
	c *big.Rat
	v int
}

// newLinear finds the operations for a matrix. Points come in pairs a, -a, so columns and
// rows also come in pairs that differ only in signs. For a pair of columns it computes the
// sum and the difference of their inputs once, for all rows. For a pair of rows it
// computes the sum and the difference of an even and an odd part.
func newLinear(m matrix) *linear {
	l := &linear{ins: len(m[0]), outs: make([]int, len(m)), seen: map[string]int{}}
	rows := l.pairColumns(m)
	for i := range rows {
		l.outs[i] = none
	}
	for i := range rows {
		if l.outs[i] != none {
			continue
		}
		for j := i + 1; j < len(rows); j++ {
			if even, odd, ok := halves(rows[i], rows[j]); ok && l.outs[j] == none {
				l.outs[i], l.outs[j] = l.pair(even, odd)
				break
			}
		}
		if l.outs[i] == none {
			l.outs[i] = l.scale(l.sum(rows[i]))
		}
	}
	return l
}

// pairColumns returns the rows of m as sums, with pairs of columns replaced.
func (l *linear) pairColumns(m matrix) [][]term {
	rows := make([][]term, len(m))
	cols := m.transpose()
	done := make([]bool, len(cols))
	for k := range cols {
		for p := k + 1; p < len(cols) && !done[k]; p++ {
			if done[p] || !mirrored(cols[k], cols[p]) {
				continue
			}
			done[k], done[p] = true, true
			sum, difference := l.add(k, big.NewRat(1, 1), p), l.add(k, big.NewRat(-1, 1), p)
			for i, c := range cols[k] {
				switch {
				case c.Sign() == 0:
				case c.Cmp(cols[p][i]) == 0:
					rows[i] = append(rows[i], term{c, sum})
				default:
					rows[i] = append(rows[i], term{c, difference})
				}
			}
		}
		for i, c := range cols[k] {
			if !done[k] && c.Sign() != 0 {
				rows[i] = append(rows[i], term{c, k})
			}
		}
	}
	return rows
}

// mirrored reports whether two columns differ in some, but not all, signs.
func mirrored(a, b []*big.Rat) bool {
	same, opposite := 0, 0
	for i := range a {
		switch {
		case sizes(a[i], b[i]) != 0:
			return false
		case a[i].Sign() == 0:
		case a[i].Sign() == b[i].Sign():
			same++
		default:
			opposite++
		}
	}
	return same > 0 && opposite > 0
}

// halves splits two sums that differ only in signs into the terms that are equal and the
// terms that differ in sign.
func halves(a, b []term) (even, odd []term, ok bool) {
	if len(a) != len(b) {
		return nil, nil, false
	}
	for i := range a {
		if a[i].v != b[i].v || sizes(a[i].c, b[i].c) != 0 {
			return nil, nil, false
		}
		if a[i].c.Sign() == b[i].c.Sign() {
			even = append(even, a[i])
		} else {
			odd = append(odd, a[i])
		}
	}
	return even, odd, len(even) > 0 && len(odd) > 0
}

// pair computes even + odd and even - odd.
func (l *linear) pair(even, odd []term) (int, int) {
	e := l.scale(l.sum(even))
	c, o := l.sum(odd)
	return l.add(e, c, o), l.add(e, new(big.Rat).Neg(c), o)
}

// sum computes a sum of terms up to a factor, which it chooses such that most terms need
// no multiplication.
func (l *linear) sum(terms []term) (c *big.Rat, v int) {
	pivot, most := 0, -1
	for i, t := range terms {
		count := 0
		for _, u := range terms {
			if sizes(u.c, t.c) == 0 {
				count += 2
			}
		}
		if t.c.Cmp(big.NewRat(1, 1)) == 0 {
			count++
		}
		if count > most {
			pivot, most = i, count
		}
	}
	c, v = terms[pivot].c, terms[pivot].v
	for i, t := range terms {
		if i != pivot {
			v = l.add(v, new(big.Rat).Quo(t.c, c), t.v)
		}
	}
	return c, v
}

func (l *linear) scale(c *big.Rat, v int) int {
	if c.Cmp(big.NewRat(1, 1)) == 0 {
		return v
	}
	return l.add(none, c, v)
}

// add returns the value of a + c*b.
func (l *linear) add(a int, c *big.Rat, b int) int {
	key := fmt.Sprint(a, c, b)
	v, ok := l.seen[key]
	if !ok {
		v = l.ins + len(l.ops)
		l.ops = append(l.ops, operation{a, b, c})
		l.seen[key] = v
	}
	return v
}

// uses counts how often each value is read, as an operand or an output.
func (l *linear) uses() []int {
	n := make([]int, l.ins+len(l.ops))
	for _, op := range l.ops {
		n[op.b]++
		if op.a != none {
			n[op.a]++
		}
	}
	for _, v := range l.outs {
		if v != none {
			n[v]++
		}
	}
	return n
}

// only returns the operations that some outputs need. The other outputs are none.
func (l *linear) only(outs ...int) *linear {
	some := &linear{ins: l.ins, outs: make([]int, len(l.outs))}
	moved := make([]int, l.ins+len(l.ops)) // the new numbers of values
	needed := make([]bool, len(moved))
	for i := range some.outs {
		some.outs[i] = none
	}
	for _, i := range outs {
		needed[l.outs[i]] = true
	}
	for n := len(l.ops) - 1; n >= 0; n-- {
		if op := l.ops[n]; needed[l.ins+n] {
			needed[op.b] = true
			if op.a != none {
				needed[op.a] = true
			}
		}
	}
	for v := range moved {
		moved[v] = v
		if v < l.ins || !needed[v] {
			continue
		}
		op := l.ops[v-l.ins]
		moved[v] = l.ins + len(some.ops)
		op.b = moved[op.b]
		if op.a != none {
			op.a = moved[op.a]
		}
		some.ops = append(some.ops, op)
	}
	for _, i := range outs {
		some.outs[i] = moved[l.outs[i]]
	}
	return some
}

// sizes compares two numbers by size.
func sizes(a, b *big.Rat) int { return new(big.Rat).Abs(a).Cmp(new(big.Rat).Abs(b)) }

// isUnit reports whether a number is 1 or -1.
func isUnit(c *big.Rat) bool { return sizes(c, big.NewRat(1, 1)) == 0 }
