package devices

import (
	"errors"
	"strings"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
)

// fake is a GPU that can be opened.
type fake struct{ engine.Device }

func TestOpen(t *testing.T) {
	broken := errors.New("the driver is too old")
	for _, c := range []struct {
		name      string
		gpu       error
		want      string // the device, or a part of the error
		why       string
		index     int
		untouched bool // no GPU is opened
	}{
		{name: "cpu", want: "cpu", untouched: true},
		{name: "auto", want: "gpu"},
		{name: "cuda", want: "gpu"},
		{name: "cuda:3", want: "gpu", index: 3},
		{name: "auto", gpu: broken, want: "cpu", why: "the driver is too old"},
		{name: "cuda", gpu: broken, want: "too old"},
		{name: "cuda:1", gpu: broken, want: "too old", index: 1},
		{name: "", want: "not known", untouched: true},
		{name: "cuda:", want: "not known", untouched: true},
		{name: "cuda:-1", want: "not known", untouched: true},
		{name: "cuda:01", want: "not known", untouched: true},
		{name: "gpu", want: "choose auto, cpu, cuda or cuda:n", untouched: true},
	} {
		asked := -1
		dev, why, err := open(c.name, cpu.Options{Threads: 1}, func(i int) (engine.Device, error) {
			asked = i
			return fake{}, c.gpu
		})
		got := "gpu"
		if err != nil {
			got = err.Error()
		} else if d, ok := dev.(*cpu.Device); ok {
			got = d.Name()
			d.Close()
		}
		if !strings.Contains(got, c.want) || why != c.why {
			t.Errorf("%q: %q and %q, want %q and %q", c.name, got, why, c.want, c.why)
		}
		if want := c.index; c.untouched && asked != -1 || !c.untouched && asked != want {
			t.Errorf("%q opened GPU %d", c.name, asked)
		}
	}
}

// TestNeverCrashes opens devices that may not exist on this machine.
func TestNeverCrashes(t *testing.T) {
	dev, why, err := Open("auto", cpu.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	if dev.Name() == "cpu" && why == "" {
		t.Error("the CPU was chosen without a reason")
	}
	if _, _, err := Open("cuda:4000", cpu.Options{}); err == nil {
		t.Error("GPU 4000 was opened")
	}
}
