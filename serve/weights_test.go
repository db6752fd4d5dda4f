package serve_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/serve"
)

// countingDevice is a device that counts what is allocated on it.
type countingDevice struct {
	engine.Device
	elements atomic.Int64
}

func (d *countingDevice) Alloc(n int) engine.Buffer {
	d.elements.Add(int64(n))
	return d.Device.Alloc(n)
}

// Models with equal weights hold them once, whatever their classes are called, until the last of
// them is replaced; and all answer as alone.
func TestEqualWeights(t *testing.T) {
	folder, dev := t.TempDir(), &countingDevice{Device: device(t)}
	renamed := about()
	renamed.Classes = []string{"one", "two", "three", "four"}
	var models []serve.Model
	for i, name := range []string{"a", "b", "c", "d"} {
		path := filepath.Join(folder, name+".safetensors")
		switch i {
		case 2:
			write(t, path, renamed, 1, nil)
		case 3:
			write(t, path, about(), 2, nil)
		default:
			write(t, path, about(), 1, nil)
		}
		models = append(models, serve.File(name, path, dev))
	}
	start := func(models []serve.Model) (s *serve.Server, allocated int64) {
		t.Helper()
		before := dev.elements.Load()
		s, err := serve.New(models, quiet())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		return s, dev.elements.Load() - before
	}
	weights := func(s *serve.Server) (size float64) {
		t.Helper()
		for line := range strings.Lines(ask(s, "GET", "/metrics", nil).Body.String()) {
			if _, err := fmt.Sscanf(line, "residual_weights_bytes %g", &size); err == nil {
				return size
			}
		}
		t.Fatal("no metric has the size of the weights")
		return 0
	}
	alone, one := start(models[:1])
	if _, three := start(models[:3]); three != one {
		t.Errorf("one model allocates %d elements, and three with equal weights %d", one, three)
	}
	s, four := start(models)
	if four != 2*one {
		t.Errorf("one model allocates %d elements, and four with two kinds of weights %d", one, four)
	}
	size := weights(alone)
	if got := weights(s); size == 0 || got != 2*size {
		t.Errorf("two kinds of weights take %v bytes, and one %v", got, size)
	}
	image := jpegOf(t, 1)
	want := read(t, ask(alone, "POST", "/predict?k=0", image), 200).Classes
	var all sync.WaitGroup
	for range 4 {
		for i, name := range []string{"a", "b", "c", "d"} {
			all.Go(func() {
				got := read(t, ask(s, "POST", "/models/"+name+"/predict?k=0", image), 200).Classes
				if (i < 2) != slices.Equal(got, want) || i == 2 && (got[0].Probability != want[0].Probability || got[0].Class != renamed.Classes[want[0].Index]) {
					t.Errorf("%s answers %v, and alone %v", name, got, want)
				}
			})
		}
	}
	all.Wait()
	for i, kinds := range []float64{2, 2, 1} { // a, b and c become d, one after the other
		replace(t, models[3].Path, models[i].Path)
		s.Reload()
		for range 2000 { // what served before is closed when its last request is answered
			if weights(s) == kinds*size {
				break
			}
			time.Sleep(time.Millisecond)
		}
		if got := weights(s); got != kinds*size {
			t.Errorf("after %d replacements the weights take %v bytes, want %v", i+1, got, kinds*size)
		}
	}
}
