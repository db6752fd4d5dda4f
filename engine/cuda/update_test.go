//go:build cuda && !windows

package cuda

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/optim"
	"github.com/residual-ml/residual/tensor"
)

// doubling is an updater that no kernel computes.
type doubling struct{}

func (doubling) Slots() int { return 1 }
func (doubling) Update(param, grad []float32, slots [][]float32, lr float32, step int) {
	for i := range param {
		slots[0][i] = param[i]
		param[i] = 2*param[i] + lr*float32(step)
	}
}

// value is a vector on the device.
func value(n int) *engine.Value { return &engine.Value{Shape: tensor.Shape{n}} }

// Passes over parameters give the same bits as their Go code, except LARS, whose norms are
// summed in another order.
func TestUpdates(t *testing.T) {
	sgd := optim.SGD{Momentum: 0.9, Dampening: 0.1, WeightDecay: 0.01, Nesterov: false}
	scaled := func(o optim.Optimizer) optim.Scaled { return optim.Scaled{Optimizer: o, Factor: 0.3} }
	for i, passes := range [][]engine.Updater{
		{optim.SGD{}}, {optim.SGD{WeightDecay: 0.1}}, {sgd}, {optim.SGD{Momentum: 0.9, Nesterov: true}},
		{optim.AdamW{}}, {optim.AdamW{Beta1: 0.8, Beta2: 0.95, Eps: 1e-4, WeightDecay: 0.1}},
		{optim.LARS{Momentum: 0.9, WeightDecay: 0.01}}, {optim.LARS{}},
		{&optim.Scaled{Optimizer: sgd, Factor: 0.5}}, {doubling{}},
		{
			&optim.Sum{TotalSlots: 3, At: 1, Weight: 3, Phase: optim.SumBegins}, &optim.Sum{TotalSlots: 3, At: 1, Weight: 2, Phase: optim.SumGrows},
			&optim.Sum{TotalSlots: 3, At: 1, Weight: 0.2, Phase: optim.SumReplace}, &optim.Averaged{Scaled: scaled(sgd), TotalSlots: 3, At: 2, AverageWeight: 0.1},
		},
		{&optim.Averaged{Scaled: scaled(optim.AdamW{}), TotalSlots: 4, At: 3, AverageWeight: 0.5}},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) { comparePasses(t, passes) })
	}
}

func comparePasses(t *testing.T, passes []engine.Updater) {
	d, _ := emulated(t)
	r := rand.New(rand.NewPCG(3, 4))
	slots := passes[0].Slots()
	var host [][][]float32 // of a parameter: itself, its gradient, its slots
	var pieces []engine.Piece
	put := func(v []float32) engine.Buffer {
		b := d.Alloc(len(v))
		d.Upload(b, value(len(v)), tensor.FromSlice(v, len(v)))
		return b
	}
	_, averages := passes[len(passes)-1].(*optim.Averaged)
	for k, n := range []int{1, 300, 4096, 9001} {
		p := engine.Piece{Rate: float32(k + 1)}
		vectors := make([][]float32, 2+slots)
		for i := range vectors {
			vectors[i] = make([]float32, n)
			for j := range vectors[i] {
				if i < 2 {
					vectors[i][j] = r.Float32() - 0.5
				}
			}
		}
		p.Param = put(vectors[0])
		if k != 1 || !averages { // a parameter without a gradient, which is only averaged
			p.Grad = put(vectors[1])
		} else {
			vectors[1] = nil
		}
		for _, s := range vectors[2:] {
			p.Slots = append(p.Slots, put(s))
		}
		host, pieces = append(host, vectors), append(pieces, p)
	}
	update := d.BindUpdate(pieces)
	for step := 1; step <= 3; step++ {
		for _, u := range passes {
			update(u, 0.1, step)
			for k, v := range host {
				u.Update(v[0], v[1], v[2:], 0.1*pieces[k].Rate, step)
			}
		}
	}
	tolerance := 0.0
	if _, ok := passes[0].(optim.LARS); ok {
		tolerance = 1e-6
	}
	for k, v := range host {
		for i, b := range append([]engine.Buffer{pieces[k].Param, pieces[k].Grad}, pieces[k].Slots...) {
			if b == nil {
				continue
			}
			got := tensor.New(b.Len())
			d.Download(got, b, value(b.Len()))
			for j, want := range v[i] {
				if g := got.Data()[j]; math.Float32bits(g) != math.Float32bits(want) && !(math.Abs(float64(g-want)) <= tolerance) && g != want {
					t.Fatalf("parameter %d, vector %d, element %d: %v, want %v", k, i, j, g, want)
				}
			}
		}
	}
	sum := 0.0
	for _, v := range host {
		for _, g := range v[1] {
			sum += float64(g) * float64(g)
		}
	}
	if got := d.BindNorm(pieces)(); math.Abs(got-math.Sqrt(sum)) > 1e-6*got {
		t.Errorf("the norm is %v, want %v", got, math.Sqrt(sum))
	}
	if err := d.Err(); err != nil {
		t.Fatal(err)
	}
}
