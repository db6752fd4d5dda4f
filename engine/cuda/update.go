//go:build cuda

package cuda

import (
	"math"
	"unsafe"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cuda/driver"
	"github.com/residual-ml/residual/optim"
)

// piece is the kernels' Piece.
type piece struct {
	param, grad driver.Pointer
	slots       [2]driver.Pointer
	n           int32
	rate        float32
}

// stretch is the kernels' Stretch, of stretchLength elements.
type stretch struct{ piece, from int32 }

const stretchLength = 4096

// parameters are pieces in the device's memory.
type parameters struct {
	d         *Device
	pieces    []engine.Piece
	table     *buffer
	stretches *buffer
	blocks    int
}

// parameters lists the pieces that have a gradient.
func (d *Device) parameters(pieces []engine.Piece) *parameters {
	p := &parameters{d: d, pieces: pieces}
	var table []piece
	var stretches []stretch
	for _, q := range pieces {
		if q.Grad == nil {
			continue
		}
		e := piece{param: q.Param.(*buffer).at, grad: q.Grad.(*buffer).at, n: int32(q.Param.Len()), rate: q.Rate}
		for i, s := range q.Slots[:min(len(q.Slots), len(e.slots))] {
			e.slots[i] = s.(*buffer).at
		}
		for from := int32(0); from < e.n; from += stretchLength {
			stretches = append(stretches, stretch{int32(len(table)), from})
		}
		table = append(table, e)
	}
	p.table, p.stretches, p.blocks = upload(d, table), upload(d, stretches), len(stretches)
	return p
}

// Adam is the kernels' Adam.
type adam struct {
	beta1, rest1, beta2, rest2, root, eps, decay float32
	_                                            int32
	correction                                   float64
}

func (a *adam) pointer() (unsafe.Pointer, int) { return unsafe.Pointer(a), int(unsafe.Sizeof(*a)) }
func (a *adam) memory() []*buffer              { return nil }

// BindUpdate prepares an optimiser's pass: SGD and AdamW by kernels, over all parameters
// at once. Any other rule is Go, so it is computed on the host, with the parameters
// copied there and back: right, and slow.
func (d *Device) BindUpdate(pieces []engine.Piece) func(engine.Updater, float32, int) {
	var p *parameters
	if d.enter() {
		p = d.parameters(pieces)
		d.leave()
	}
	return func(u engine.Updater, lr float32, step int) {
		if p == nil || !d.enter() {
			return
		}
		defer d.leave()
		switch o := u.(type) {
		case optim.SGD:
			p.start("sgd", lr, o.Momentum, 1-o.Dampening, o.WeightDecay, o.Nesterov, step == 1)
		case optim.AdamW:
			p.start("adamw", lr, adamOf(o, step))
		default:
			p.onHost(u, lr, step)
		}
	}
}

func (p *parameters) start(name string, args ...any) {
	d := p.d
	l, err := d.launch(name, grid{p.blocks, 1, 1, blockSize}, append([]any{p.table, p.stretches}, args...)...)
	if err != nil {
		d.err = err
		return
	}
	d.start(l)
}

// adamOf is what optim.AdamW computes before its loop.
func adamOf(o optim.AdamW, step int) *adam {
	or := func(v, otherwise float64) float64 {
		if v == 0 {
			return otherwise
		}
		return v
	}
	beta1, beta2 := or(o.Beta1, 0.9), or(o.Beta2, 0.999)
	return &adam{
		beta1: float32(beta1), rest1: float32(1 - beta1), beta2: float32(beta2), rest2: float32(1 - beta2),
		root: float32(math.Sqrt(1 - math.Pow(beta2, float64(step)))), eps: float32(or(o.Eps, 1e-8)), decay: o.WeightDecay,
		correction: 1 - math.Pow(beta1, float64(step)),
	}
}

// onHost applies a rule to copies of the parameters.
func (p *parameters) onHost(u engine.Updater, lr float32, step int) {
	for _, q := range p.pieces {
		stays := []engine.Buffer{q.Param, q.Grad}
		stays = append(stays, q.Slots...)
		copies := make([][]float32, len(stays))
		for i, s := range stays {
			if s != nil {
				copies[i] = make([]float32, s.Len())
				p.d.copyFrom(unsafe.Pointer(unsafe.SliceData(copies[i])), s.(*buffer), 4*s.Len())
			}
		}
		if p.d.err != nil {
			return
		}
		u.Update(copies[0], copies[1], copies[2:], lr*q.Rate, step)
		for i, s := range stays {
			if s != nil {
				p.d.copyTo(s.(*buffer), unsafe.Pointer(unsafe.SliceData(copies[i])), 4*s.Len())
			}
		}
	}
}

// BindNorm prepares the norm of all gradients: sums of squares of stretches, added in
// their order.
func (d *Device) BindNorm(pieces []engine.Piece) func() float64 {
	if !d.enter() {
		return math.NaN
	}
	defer d.leave()
	p := d.parameters(pieces)
	part, sum := d.alloc(2*p.blocks), d.alloc(2)
	squares, err := d.launch("squares", grid{p.blocks, 1, 1, blockSize}, p.table, p.stretches, part)
	if err != nil {
		d.err = err
		return math.NaN
	}
	total, err := d.launch("total", grid{1, 1, 1, blockSize}, part, p.blocks, sum)
	if err != nil {
		d.err = err
		return math.NaN
	}
	result := new(float64)
	return func() float64 {
		if !d.enter() {
			return math.NaN()
		}
		defer d.leave()
		*result = math.NaN() // what it stays where the device fails
		d.start(squares)
		d.start(total)
		d.copyFrom(unsafe.Pointer(result), sum, 8)
		return math.Sqrt(*result)
	}
}
