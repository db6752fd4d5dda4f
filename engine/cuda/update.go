//go:build cuda

package cuda

import (
	"cmp"
	"math"
	"unsafe"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cuda/driver"
	"github.com/residual-ml/residual/optim"
)

// piece is struct Piece of the kernels.
type piece struct {
	param, grad      driver.Pointer
	slots            [mostSlots]driver.Pointer
	n                int32
	rate             float32
	first, stretches int32
}

// mostSlots is how many optimiser slots of a parameter the kernels support.
const mostSlots = 4

// stretch is struct Stretch of the kernels: stretchLength elements of a piece.
type stretch struct{ piece, from int32 }

const stretchLength = 4096

// parameters are pieces and stretches in device memory. A kernel has one block for every
// stretch.
type parameters struct {
	table, stretches *buffer
	blocks           int
}

// parameters copies pieces to the device: all, or only those with a gradient.
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

// settings is struct Settings of the kernels: the settings of a pass, which may change at
// every step.
type settings struct {
	limit, trust, tiny, correction        float64
	lr, factor                            float32
	momentum, keep, decay                 float32
	nesterov, first                       int32
	beta1, rest1, beta2, rest2, root, eps float32
	mean                                  int32
	meanKeep, meanRest                    float32
	sum                                   int32
	weight                                float32
	phase                                 int32
	_                                     int32
}

const settingsBytes = int(unsafe.Sizeof(settings{}))

// tell sets the settings of a pass of u and appends the names of its kernels to names. It
// returns false if no kernel computes u.
func (s *settings) tell(names []string, u engine.Updater, lr float32, step int) ([]string, bool) {
	if u.Slots() > mostSlots {
		return names, false
	}
	s.lr = lr
	ok := true
	switch o := u.(type) {
	case optim.SGD:
		s.descend(o, step)
		names = append(names, "sgd")
	case optim.AdamW:
		s.adam(o, step)
		names = append(names, "adamw")
	case optim.LARS:
		s.descend(optim.SGD{Momentum: o.Momentum, Dampening: o.Dampening, WeightDecay: o.WeightDecay, Nesterov: o.Nesterov}, step)
		s.trust, s.tiny = cmp.Or(o.Trust, 0.001), cmp.Or(o.Eps, 1e-8)
		names = append(names, "lars_norms", "lars")
	case *optim.Scaled:
		if o.Factor != 1 {
			s.factor = o.Factor
			names = append(names, "scale_gradients")
		}
		names, ok = s.tell(names, o.Optimizer, lr, step)
	case *optim.Averaged:
		names, ok = s.tell(names, &o.Scaled, lr, step)
		if o.AverageWeight > 0 {
			s.mean, s.meanKeep, s.meanRest = int32(o.At), 1-o.AverageWeight, o.AverageWeight
			names = append(names, "average")
		}
	case *optim.Sum:
		s.sum, s.weight, s.phase = int32(o.At), o.Weight, int32(o.Phase)
		names = append(names, "sum_gradients")
	default:
		ok = false
	}
	return names, ok
}

func (s *settings) descend(o optim.SGD, step int) {
	s.momentum, s.keep, s.decay = o.Momentum, 1-o.Dampening, o.WeightDecay
	s.nesterov, s.first = int32(flag(o.Nesterov)), int32(flag(step == 1))
}

// adam sets what optim.AdamW computes before its loop.
func (s *settings) adam(o optim.AdamW, step int) {
	beta1, beta2 := cmp.Or(o.Beta1, 0.9), cmp.Or(o.Beta2, 0.999)
	s.beta1, s.rest1, s.beta2, s.rest2 = float32(beta1), float32(1-beta1), float32(beta2), float32(1-beta2)
	s.root, s.eps, s.decay = float32(math.Sqrt(1-math.Pow(beta2, float64(step)))), float32(cmp.Or(o.Eps, 1e-8)), o.WeightDecay
	s.correction = 1 - math.Pow(beta1, float64(step))
}

// mostPasses is the most passes that follow one run of a program: adding a gradient to an
// accumulated sum, replacing the gradient by the sum, and the optimiser's update.
const mostPasses = 3

// updater runs passes over the parameters of one program.
type updater struct {
	d        *Device
	pieces   []engine.Piece
	trained  *parameters // parameters with a gradient
	all      *parameters
	part     *buffer // partial norms, for LARS
	told     *buffer // the settings of mostPasses passes
	settings [mostPasses]settings
	names    []string
	launches map[pass]*launch
}

// pass is one kernel of a pass.
type pass struct {
	kernel string
	number int // of the pass
	gate   *buffer
}

// newUpdater prepares passes. The caller must have entered the device.
func (d *Device) newUpdater(pieces []engine.Piece) *updater {
	p := &updater{d: d, pieces: pieces, launches: map[pass]*launch{}}
	p.trained, p.all = d.parameters(pieces, true), d.parameters(pieces, false)
	p.part, p.told = d.alloc(4*p.trained.blocks), d.alloc(mostPasses*settingsBytes/4)
	return p
}

// BindUpdate returns a function that updates all parameters with an updater, a learning
// rate and the number of the step. Kernels compute the updaters of package optim for all
// parameters together. Any other updater is Go code, for which the parameters are copied
// to the host and back, which is correct but slow.
func (d *Device) BindUpdate(pieces []engine.Piece) func(engine.Updater, float32, int) {
	var p *updater
	if d.enter() {
		p = d.newUpdater(pieces)
		d.leave()
	}
	return func(u engine.Updater, lr float32, step int) {
		if !d.enter() {
			return
		}
		defer d.leave()
		var ok bool
		p.settings[0] = settings{}
		if p.names, ok = p.settings[0].tell(p.names[:0], u, lr, step); !ok {
			p.onHost(u, lr, step)
			return
		}
		p.send(1)
		for _, name := range p.names {
			p.start(pass{name, 0, nil})
		}
	}
}

// send copies the settings of the first n passes to the device.
func (p *updater) send(n int) { p.d.copyTo(p.told, unsafe.Pointer(&p.settings), n*settingsBytes) }

// start launches one kernel of a pass.
func (p *updater) start(k pass) {
	l := p.launches[k]
	if l == nil {
		over := p.trained
		if k.kernel == "average" {
			over = p.all
		}
		told := p.told.slice(k.number*settingsBytes/4, settingsBytes/4)
		args := []any{over.table, over.stretches, k.gate}
		switch k.kernel {
		case "lars_norms":
			args = append(args, p.part)
		case "lars":
			args = append(args, told, p.part)
		default:
			args = append(args, told)
		}
		var err error
		if l, err = p.d.launch(k.kernel, grid{over.blocks, 1, 1, blockSize}, args...); err != nil {
			p.d.err = err
			return
		}
		p.launches[k] = l
	}
	p.d.start(l)
}

// onHost applies an updater to copies of the parameters on the host.
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

// norm sums the squares of all gradients: first of every stretch, then over the stretches
// in their order.
type norm struct {
	squares, total *launch
	sum            *buffer // a float64
}

// newNorm prepares a norm, or returns nil if the device has failed. The caller must have
// entered the device.
func (d *Device) newNorm(p *parameters) *norm {
	part, sum := d.alloc(2*p.blocks), d.alloc(2)
	squares, err := d.launch("squares", grid{p.blocks, 1, 1, blockSize}, p.table, p.stretches, part)
	if err == nil {
		var total *launch
		if total, err = d.launch("total", grid{1, 1, 1, blockSize}, part, p.blocks, sum); err == nil {
			return &norm{squares, total, sum}
		}
	}
	d.err = err
	return nil
}

func (n *norm) start(d *Device) {
	d.start(n.squares)
	d.start(n.total)
}

// BindNorm returns a function that computes the L2 norm of all gradients. It returns NaN
// if the device has failed.
func (d *Device) BindNorm(pieces []engine.Piece) func() float64 {
	if !d.enter() {
		return math.NaN
	}
	defer d.leave()
	n := d.newNorm(d.parameters(pieces, true))
	result := new(float64)
	return func() float64 {
		if !d.enter() {
			return math.NaN()
		}
		defer d.leave()
		*result = math.NaN() // the result if the device fails
		n.start(d)
		d.copyFrom(unsafe.Pointer(result), n.sum, 8)
		return math.Sqrt(*result)
	}
}

// BindFinite returns a function that reports whether all gradients are finite, which they
// are if the float64 sum of their squares is.
func (d *Device) BindFinite(pieces []engine.Piece) func() bool {
	norm := d.BindNorm(pieces)
	return func() bool {
		n := norm()
		return !math.IsNaN(n) && !math.IsInf(n, 0)
	}
}
