//go:build cuda

package cuda

import (
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// fedProgram is a program whose input is made from uint8 batches of two images [3, 2, 2].
func fedProgram(t *testing.T, d engine.Device) engine.Feed {
	t.Helper()
	g := graph.New(graph.Eval)
	x := g.Input("x", tensor.Float32, 2, 3, 2, 2)
	p, err := engine.Compile(g, engine.NewStore(d), engine.Spec{Outputs: []*graph.Node{g.Apply(graph.ReLU{}, x)}})
	if err != nil {
		t.Fatal(err)
	}
	before := p.Memory().Own
	f := p.Images(x, engine.StoredImages{Channels: 3, Height: 2, Width: 2, Table: make([][256]float32, 3)})
	if after := p.Memory().Own; after < before+3*256*4+2*24 {
		t.Errorf("%d bytes became %d", before, after)
	}
	return f
}

// A batch is copied while kernels compute, and only the kernels that make the input wait
// for the copy. A copy into a place waits for the kernels that read its previous contents,
// and the host waits for that copy before it writes the pinned memory again.
func TestFeedOrdersStreams(t *testing.T) {
	f := newFake()
	feed := fedProgram(t, f.open(t))
	const compute, copies = "1", "2"
	step := func(want ...string) {
		t.Helper()
		if !slices.Equal(f.calls, want) {
			t.Errorf("%q, want %q", f.calls, want)
		}
		f.calls = nil
	}
	f.calls = nil
	send := func() { feed.Send(make([]uint8, 24)) }
	// Events 1 and 3 follow the copies to the two places, 2 and 4 the kernels that read them.
	send()
	step("after 2 in "+copies, "copy 0 in "+copies, "record 1 in "+copies)
	send()
	step("after 4 in "+copies, "copy 0 in "+copies, "record 3 in "+copies)
	feed.Use()
	step("after 1 in "+compute, "launch 0 in "+compute, "record 2 in "+compute)
	send()
	step("wait 1 in 0", "after 2 in "+copies, "copy 0 in "+copies, "record 1 in "+copies)
	feed.Use()
	step("after 3 in "+compute, "launch 0 in "+compute, "record 4 in "+compute)
	feed.Drop()
	send()
	step("wait 3 in 0", "after 4 in "+copies, "copy 0 in "+copies, "record 3 in "+copies)
	feed.Use()
	step("after 3 in "+compute, "launch 0 in "+compute, "record 4 in "+compute)
	for name, call := range map[string]func(){
		"what was not sent is used": feed.Use, "too few bytes": func() { feed.Send(make([]uint8, 23)) }, "three on their way": func() { send(); send(); send() },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s, and nothing is said", name)
				}
			}()
			call()
		}()
		feed.Drop()
	}
}

// Pinned memory and events are freed when they are no longer referenced, and when the device
// is closed.
func TestFeedIsFreed(t *testing.T) {
	f := newFake()
	d := f.open(t)
	for range 4 {
		fedProgram(t, d)
	}
	const own = 2 // events of the device
	if f.hosts == 0 || f.events == own {
		t.Fatal("nothing was taken")
	}
	for wait := time.Millisecond; f.hosts > 0 && wait < time.Second; wait *= 2 {
		runtime.GC()
		time.Sleep(wait)
		d.Alloc(chunkBytes)
	}
	if f.hosts != 0 || f.events != own {
		t.Errorf("%d pinned and %d events are left", f.hosts, f.events)
	}
	last := fedProgram(t, d)
	d.Close()
	if f.hosts != 0 || f.events != 0 {
		t.Errorf("%d pinned and %d events are left with the device closed", f.hosts, f.events)
	}
	last.Send(make([]uint8, 24)) // does nothing
	last.Use()
}
