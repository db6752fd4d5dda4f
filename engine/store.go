package engine

import (
	"fmt"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// Store holds variables on a device, with the optimiser's state of each. Compile adds the
// variables of a program to its store. Pull copies the values to the host, to save or
// inspect them; Push copies the host's values to the device.
type Store struct {
	device  Device
	entries map[*graph.Variable]*entry
	order   []*entry
	version uint64
	step    int    // optimiser steps taken
	arena   Buffer // the workspace of the largest program so far
	scratch Buffer // memory for use within a step: see Binding.Scratch
	derived map[any]any
}

type entry struct {
	value  *Value
	buffer Buffer
	slots  []Buffer
}

// NewStore returns an empty store on device d.
func NewStore(d Device) *Store {
	return &Store{device: d, entries: map[*graph.Variable]*entry{}, derived: map[any]any{}}
}

// Device returns the device the store lives on.
func (s *Store) Device() Device { return s.device }

// adopt adds the variables of g that live nodes use.
func (s *Store) adopt(g *graph.Graph, live []bool) error {
	layouts := layoutsOf(g, live)
	add := func(v *graph.Variable, l Layout) error {
		if s.entries[v] != nil {
			return nil
		}
		if v.Value == nil || v.Value.DType() != tensor.Float32 {
			return fmt.Errorf("engine: variable %s has no float32 value", nameOf(v))
		}
		value := &Value{ID: -len(s.order) - 1, Shape: v.Value.Shape(), Layout: l, Place: Persistent, Variable: v}
		e := &entry{value: value, buffer: s.device.Alloc(v.Value.Numel())}
		s.device.Upload(e.buffer, value, v.Value)
		s.entries[v], s.order = e, append(s.order, e)
		return nil
	}
	for _, v := range g.Variables() {
		if l, ok := layouts[v]; ok {
			if err := add(v, l); err != nil {
				return err
			}
		}
	}
	for _, a := range g.Assignments {
		if err := add(a.Variable, defaultLayout(a.Variable.Value.Shape())); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) value(v *graph.Variable) (*Value, error) {
	e := s.entries[v]
	if e == nil {
		return nil, fmt.Errorf("engine: variable %s is in no compiled program", nameOf(v))
	}
	return e.value, nil
}

// share returns n words of memory that the programs of the store share. If b is too small,
// share replaces it, but programs compiled before keep the old buffer. Therefore compile
// the largest program first.
func (s *Store) share(b *Buffer, n int) Buffer {
	if *b == nil || (*b).Len() < n {
		*b = s.device.Alloc(n)
	}
	return s.device.Slice(*b, 0, n)
}

// Pull copies the device's values of all variables to the host.
func (s *Store) Pull() {
	for _, e := range s.order {
		s.device.Download(e.value.Variable.Value, e.buffer, e.value)
	}
}

// Push copies the host's values of all variables to the device.
func (s *Store) Push() {
	for _, e := range s.order {
		s.device.Upload(e.buffer, e.value, e.value.Variable.Value)
	}
	s.version++
}

// Reset undoes everything that programs have done, provided that Pull was not called in
// between: it pushes the host's values, and sets the optimiser's state and the step count
// to 0.
func (s *Store) Reset() {
	for _, e := range s.order {
		for _, b := range e.slots {
			s.device.Upload(b, e.value, tensor.New(e.value.Shape...))
		}
	}
	s.step = 0
	s.Push()
}

// Elements returns the number of elements of all variables and of the optimiser's state.
func (s *Store) Elements() int {
	n := 0
	for _, e := range s.order {
		n += e.value.Numel() * (1 + len(e.slots))
	}
	return n
}

// Step returns the number of optimiser steps so far.
func (s *Store) Step() int { return s.step }

// SetStep sets the number of optimiser steps so far, to continue a saved training.
func (s *Store) SetStep(n int) { s.step = n }

// slots returns n state buffers of a variable for the optimiser. New ones are zero.
func (s *Store) slots(v *graph.Variable, n int) []Buffer {
	e := s.entries[v]
	for len(e.slots) < n {
		e.slots = append(e.slots, s.device.Alloc(e.value.Numel()))
	}
	return e.slots[:n]
}

// Slot copies the optimiser's state buffer i of v to a new host tensor of v's shape. It
// returns nil if the buffer does not exist yet.
func (s *Store) Slot(v *graph.Variable, i int) *tensor.Tensor {
	e := s.entries[v]
	if e == nil || i >= len(e.slots) {
		return nil
	}
	t := tensor.New(e.value.Shape...)
	s.device.Download(t, e.slots[i], e.value)
	return t
}

// SetSlot restores the optimiser's state buffer i of v from a host tensor of v's shape.
func (s *Store) SetSlot(v *graph.Variable, i int, t *tensor.Tensor) error {
	e := s.entries[v]
	if e == nil {
		return fmt.Errorf("engine: variable %s is in no compiled program", nameOf(v))
	}
	if !t.Shape().Equal(e.value.Shape) {
		return fmt.Errorf("engine: optimiser state of %s has shape %v, the parameter %v", nameOf(v), t.Shape(), e.value.Shape)
	}
	s.device.Upload(s.slots(v, i+1)[i], e.value, t)
	return nil
}

// layoutsOf returns the layout of every live variable. It depends on how the variable is
// used: weights of convolutions and of linear layers have layouts of their own.
func layoutsOf(g *graph.Graph, live []bool) map[*graph.Variable]Layout {
	layouts := map[*graph.Variable]Layout{}
	for _, n := range g.Nodes {
		if !live[n.ID] {
			continue
		}
		if l, ok := n.Op.(*graph.Leaf); ok {
			layouts[l.Variable] = defaultLayout(n.Shape)
			continue
		}
		weight, layout := -1, ConvWeight
		switch n.Op.(type) {
		case graph.Conv2d:
			weight = 1
		case graph.Linear:
			weight, layout = 1, LinearWeight
		case graph.Conv2dGradInput:
			weight = 0
		case graph.LinearGradInput:
			weight, layout = 0, LinearWeight
		}
		if weight >= 0 {
			w := n.Inputs[weight]
			if _, ok := w.Op.(graph.FakeQuantize); ok {
				w = w.Inputs[0]
			}
			if l, ok := w.Op.(*graph.Leaf); ok {
				layouts[l.Variable] = layout
			}
		}
	}
	return layouts
}

func nameOf(v *graph.Variable) string {
	if v.Name != "" {
		return v.Name
	}
	return fmt.Sprintf("unnamed%v", v.Value.Shape())
}
