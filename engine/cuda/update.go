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
	param, grad      driver.Pointer
	slots            [mostSlots]driver.Pointer
	n                int32
	rate             float32
	first, stretches int32
}

// mostSlots is how many buffers beside a parameter kernels know.
const mostSlots = 4

// stretch is the kernels' Stretch, of stretchLength elements.
type stretch struct{ piece, from int32 }

const stretchLength = 4096

// parameters are pieces in the device's memory, for a block a stretch.
type parameters struct {
	table, stretches *buffer
	blocks           int
}

// parameters lists pieces, or of them those that have a gradient.
func (d *Device) parameters(pieces []engine.Piece, withGradient bool) *parameters {
	var table []piece
	var stretches []stretch
	for _, q := range pieces {
		e := piece{param: q.Param.(*buffer).at, n: int32(q.Param.Len()), rate: q.Rate, first: int32(len(stretches))}
		if q.Grad != nil {
			e.grad = q.Grad.(*buffer).at
		} else if withGradient {
			continue
		}
		for i, s := range q.Slots[:min(len(q.Slots), mostSlots)] {
			e.slots[i] = s.(*buffer).at
		}
		for from := int32(0); from < e.n; from += stretchLength {
			stretches = append(stretches, stretch{int32(len(table)), from})
		}
		e.stretches = int32(len(stretches)) - e.first
		table = append(table, e)
	}
	return &parameters{upload(d, table), upload(d, stretches), len(stretches)}
}

// descent is the kernels' Descent.
type descent struct {
	momentum, keep, decay float32
	nesterov, first       int32
}

func (s *descent) pointer() (unsafe.Pointer, int) { return unsafe.Pointer(s), int(unsafe.Sizeof(*s)) }
func (s *descent) memory() []*buffer              { return nil }

func descentOf(o optim.SGD, step int) *descent {
	return &descent{o.Momentum, 1 - o.Dampening, o.WeightDecay, int32(flag(o.Nesterov)), int32(flag(step == 1))}
}

// adam is the kernels' Adam.
type adam struct {
	beta1, rest1, beta2, rest2, root, eps, decay float32
	_                                            int32
	correction                                   float64
}

func (a *adam) pointer() (unsafe.Pointer, int) { return unsafe.Pointer(a), int(unsafe.Sizeof(*a)) }
func (a *adam) memory() []*buffer              { return nil }

// or is v, or what stands for zero.
func or(v, otherwise float64) float64 {
	if v == 0 {
		return otherwise
	}
	return v
}

// adamOf is what optim.AdamW computes before its loop.
func adamOf(o optim.AdamW, step int) *adam {
	beta1, beta2 := or(o.Beta1, 0.9), or(o.Beta2, 0.999)
	return &adam{
		beta1: float32(beta1), rest1: float32(1 - beta1), beta2: float32(beta2), rest2: float32(1 - beta2),
		root: float32(math.Sqrt(1 - math.Pow(beta2, float64(step)))), eps: float32(or(o.Eps, 1e-8)), decay: o.WeightDecay,
		correction: 1 - math.Pow(beta1, float64(step)),
	}
}

// updater makes passes over the parameters of one program.
type updater struct {
	d       *Device
	pieces  []engine.Piece
	trained *parameters // those with a gradient
	all     *parameters
	part    *buffer // of norms, for LARS
}

// BindUpdate prepares an optimiser's pass. What package optim has is computed by
// kernels, over all parameters at once. Any other rule is Go, so it is computed on the
// host, with the parameters copied there and back: right, and slow.
func (d *Device) BindUpdate(pieces []engine.Piece) func(engine.Updater, float32, int) {
	p := &updater{d: d, pieces: pieces}
	if d.enter() {
		p.trained, p.all = d.parameters(pieces, true), d.parameters(pieces, false)
		p.part = d.alloc(4 * p.trained.blocks)
		d.leave()
	}
	return func(u engine.Updater, lr float32, step int) {
		if !d.enter() {
			return
		}
		defer d.leave()
		if !p.onDevice(u, lr, step) {
			p.onHost(u, lr, step)
		}
	}
}

// onDevice makes a pass that kernels know, and says whether they do.
func (p *updater) onDevice(u engine.Updater, lr float32, step int) bool {
	if u.Slots() > mostSlots {
		return false
	}
	switch o := u.(type) {
	case optim.SGD:
		p.start("sgd", p.trained, lr, descentOf(o, step))
	case optim.AdamW:
		p.start("adamw", p.trained, lr, adamOf(o, step))
	case optim.LARS:
		p.start("lars_norms", p.trained, p.part)
		sgd := optim.SGD{Momentum: o.Momentum, Dampening: o.Dampening, Nesterov: o.Nesterov}
		p.start("lars", p.trained, p.part, lr, descentOf(sgd, step), o.WeightDecay, or(o.Trust, 0.001), or(o.Eps, 1e-8))
	case *optim.Scaled:
		if !p.known(o.Optimizer) {
			return false
		}
		if o.Factor != 1 {
			p.start("scale_gradients", p.trained, o.Factor)
		}
		return p.onDevice(o.Optimizer, lr, step)
	case *optim.Averaged:
		if !p.onDevice(&o.Scaled, lr, step) {
			return false
		}
		if o.Rest > 0 {
			p.start("average", p.all, o.At, 1-o.Rest, o.Rest)
		}
	case *optim.Sum:
		p.start("sum_gradients", p.trained, o.At, o.Weight, int(o.Phase))
	default:
		return false
	}
	return true
}

// known says whether kernels know an optimiser by itself.
func (p *updater) known(o optim.Optimizer) bool {
	switch o.(type) {
	case optim.SGD, optim.AdamW, optim.LARS:
		return true
	}
	return false
}

func (p *updater) start(name string, over *parameters, args ...any) {
	l, err := p.d.launch(name, grid{over.blocks, 1, 1, blockSize}, append([]any{over.table, over.stretches}, args...)...)
	if err != nil {
		p.d.err = err
		return
	}
	p.d.start(l)
}

// onHost applies a rule to copies of the parameters.
func (p *updater) onHost(u engine.Updater, lr float32, step int) {
	for _, q := range p.pieces {
		stays := append([]engine.Buffer{q.Param, q.Grad}, q.Slots...)
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
	p := d.parameters(pieces, true)
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

// BindFinite prepares a look at all gradients: the sum of their squares, in float64, is
// finite where they all are.
func (d *Device) BindFinite(pieces []engine.Piece) func() bool {
	norm := d.BindNorm(pieces)
	return func() bool {
		n := norm()
		return !math.IsNaN(n) && !math.IsInf(n, 0)
	}
}
