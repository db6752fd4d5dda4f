package exchange

import (
	"fmt"
	"strings"
	"testing"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// TestPanics checks that what an importer's operations panic with becomes an error, or names
// the node, only where it is a misuse.
func TestPanics(t *testing.T) {
	var none []int
	for _, c := range []struct {
		run       func()
		err, pass string
	}{
		{run: func() {}},
		{run: func() { panic(tensor.Misusef("a step of %d", 0)) }, err: "a step of 0"},
		{run: func() { panic("lost count") }, pass: "lost count"},
		{run: func() { _ = none[0] }, pass: "index out of range"},
	} {
		func() {
			defer func() {
				if r := recover(); (r != nil) != (c.pass != "") || !strings.Contains(fmt.Sprint(r), c.pass) {
					t.Errorf("passed as %v, want %q", r, c.pass)
				}
			}()
			if err := catchMisuse(c.run); (err != nil) != (c.err != "") || err != nil && err.Error() != c.err {
				t.Errorf("became %v, want %q", err, c.err)
			}
		}()
		n := &Network{Input: Input{Name: "x", Channels: 1}, nodes: []computedNode{{label: "node Slice \"s\"", run: func(in []value) value {
			c.run()
			return value{}
		}}}}
		if c.err == "" && c.pass == "" {
			continue
		}
		func() {
			defer func() {
				r := recover()
				m, is := r.(*tensor.Misuse)
				if is != (c.err != "") || is && m.Error() != `node Slice "s": `+c.err || !is && !strings.Contains(fmt.Sprint(r), c.pass) {
					t.Errorf("Forward panicked with %v, want %q %q", r, c.err, c.pass)
				}
			}()
			n.Forward(graph.New(graph.Eval).Input("x", tensor.Float32, 1, 1, 2, 2))
		}()
	}
}
