package onnx

import (
	"fmt"
	"slices"
	"strings"
)

// order checks the graph's names and sorts its nodes so that each follows the nodes whose
// outputs it uses; nodes that are already sorted keep their order. An undefined name, a
// name defined twice, and a cycle are errors.
func (g *Graph) order() error {
	made, err := g.makers()
	if err != nil {
		return err
	}
	for _, v := range g.Outputs {
		if _, ok := made[v.Name]; !ok {
			return fmt.Errorf("output %s: nothing makes it; %s", quote(v.Name), damaged)
		}
	}
	sorted := true
	for i := range g.Nodes {
		for _, name := range g.Nodes[i].Inputs {
			at, ok := made[name]
			if !ok && name != "" {
				return fmt.Errorf("%v: takes %s, which no input, initialiser or node is; %s", &g.Nodes[i], quote(name), damaged)
			}
			sorted = sorted && (name == "" || at < i)
		}
	}
	if sorted {
		return nil
	}
	return g.sort(made)
}

// makers maps every name to the node that computes it, or to -1 for an input or
// initialiser.
func (g *Graph) makers() (map[string]int, error) {
	made := make(map[string]int, len(g.Initialisers)+len(g.Inputs)+len(g.Nodes))
	add := func(what any, name string, by int) error {
		if name == "" {
			return fmt.Errorf("%v: has no name; %s", what, damaged)
		}
		if _, ok := made[name]; ok {
			return fmt.Errorf("%v: the name %s is used twice; %s", what, quote(name), damaged)
		}
		made[name] = by
		return nil
	}
	for _, t := range g.Initialisers {
		if err := add("initialiser", t.Name, -1); err != nil {
			return nil, err
		}
	}
	for _, v := range g.Inputs {
		if err := add("input", v.Name, -1); err != nil {
			return nil, err
		}
	}
	for i := range g.Nodes {
		n := &g.Nodes[i]
		if n.Op == "" {
			return nil, fmt.Errorf("%v: says no operation; %s", n, damaged)
		}
		if strings.Join(n.Outputs, "") == "" {
			return nil, fmt.Errorf("%v: makes nothing; %s", n, damaged)
		}
		for _, name := range n.Outputs {
			if name == "" {
				continue
			}
			if err := add(n, name, i); err != nil {
				return nil, err
			}
		}
		for j, a := range n.Attributes {
			if slices.ContainsFunc(n.Attributes[:j], func(b Attribute) bool { return a.Name == b.Name }) {
				return nil, fmt.Errorf("%v: attribute %s occurs twice; %s", n, quote(a.Name), damaged)
			}
		}
	}
	return made, nil
}

// sort sorts the nodes topologically. It does not recurse, since a file may contain a chain
// of any length.
func (g *Graph) sort(made map[string]int) error {
	const (
		waiting = iota
		open    // some of its inputs have no place in the order yet
		done
	)
	type visit struct{ node, input int }
	state := make([]uint8, len(g.Nodes))
	ordered := make([]Node, 0, len(g.Nodes))
	var stack []visit
	for first := range g.Nodes {
		if state[first] == done {
			continue
		}
		stack = append(stack[:0], visit{node: first})
		state[first] = open
		for len(stack) > 0 {
			top := &stack[len(stack)-1]
			n := &g.Nodes[top.node]
			if top.input == len(n.Inputs) {
				state[top.node] = done
				ordered = append(ordered, *n)
				stack = stack[:len(stack)-1]
				continue
			}
			name := n.Inputs[top.input]
			top.input++
			by, ok := made[name]
			if !ok || by < 0 || state[by] == done {
				continue
			}
			if state[by] == open {
				return fmt.Errorf("%v: takes %s, which depends on the node itself; %s", n, quote(name), damaged)
			}
			state[by] = open
			stack = append(stack, visit{node: by})
		}
	}
	g.Nodes = ordered
	return nil
}
