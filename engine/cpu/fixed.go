package cpu

import (
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
)

// fixed holds the results of a program that depend only on variables: the statistics of
// batch norms in evaluation, and rounded weights. A program without updates computes the
// latter again only when variables have changed.
type fixed struct {
	all    map[*engine.Value]bool
	own    map[*engine.Value]memory // memory of rounded weights, which no other value shares
	packed map[any]any              // what is packed from them, as in Binding.Derived
}

// findFixed finds these results, and gives rounded weights their memory.
func (b *binder) findFixed() {
	b.fixed = fixed{map[*engine.Value]bool{}, map[*engine.Value]memory{}, map[any]any{}}
	for _, s := range b.Steps {
		c, ok := s.(*engine.Compute)
		if !ok || !b.Static || len(c.In) == 0 {
			continue
		}
		all := true
		for _, v := range c.In {
			all = all && v.Place == engine.Persistent
		}
		switch c.Op.(type) {
		case graph.Stack:
			b.fixed.all[c.Out] = all
		case graph.FakeQuantize:
			if all && !c.Out.Keep {
				b.fixed.all[c.Out], b.fixed.own[c.Out] = true, alloc(c.Out.Words())
				b.private += c.Out.Words()
			}
		}
	}
	at := b.At
	b.At = func(v *engine.Value) engine.Buffer {
		if m, ok := b.fixed.own[v]; ok {
			return m
		}
		return at(v)
	}
}

// once makes a step whose result is fixed, and has memory of its own, run only when
// variables have changed.
func (b *binder) once(s engine.Step, run func()) func() {
	c, ok := s.(*engine.Compute)
	if !ok || b.fixed.own[c.Out] == nil || run == nil {
		return run
	}
	done, version := false, uint64(0)
	return func() {
		if !done || version != *b.Version {
			run()
			done, version = true, *b.Version
		}
	}
}
