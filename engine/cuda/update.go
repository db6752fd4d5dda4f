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

// settings is the kernels' Settings: what a pass is told anew for every step.
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

// or is v, or what stands for zero.
func or(v, otherwise float64) float64 {
	if v == 0 {
		return otherwise
	}
	return v
}

// tell notes what the kernels need for a pass of u and adds their names to names; false
// where no kernel knows u.
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
		s.trust, s.tiny = or(o.Trust, 0.001), or(o.Eps, 1e-8)
		names = append(names, "lars_norms", "lars")
	case *optim.Scaled:
		if o.Factor != 1 {
			s.factor = o.Factor
			names = append(names, "scale_gradients")
		}
		names, ok = s.tell(names, o.Optimizer, lr, step)
	case *optim.Averaged:
		names, ok = s.tell(names, &o.Scaled, lr, step)
		if o.Rest > 0 {
			s.mean, s.meanKeep, s.meanRest = int32(o.At), 1-o.Rest, o.Rest
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

// adam is what optim.AdamW computes before its loop.
func (s *settings) adam(o optim.AdamW, step int) {
	beta1, beta2 := or(o.Beta1, 0.9), or(o.Beta2, 0.999)
	s.beta1, s.rest1, s.beta2, s.rest2 = float32(beta1), float32(1-beta1), float32(beta2), float32(1-beta2)
	s.root, s.eps, s.decay = float32(math.Sqrt(1-math.Pow(beta2, float64(step)))), float32(or(o.Eps, 1e-8)), o.WeightDecay
	s.correction = 1 - math.Pow(beta1, float64(step))
}

// mostPasses is how many passes follow one run: a batch is added to the sum of several,
// which takes the gradient's place, and the step is made.
const mostPasses = 3

// updater makes passes over the parameters of one program.
type updater struct {
	d        *Device
	pieces   []engine.Piece
	trained  *parameters // those with a gradient
	all      *parameters
	part     *buffer // of norms, for LARS
	told     *buffer // the settings of mostPasses passes
	settings [mostPasses]settings
	names    []string
	launches map[pass]*launch
}

// pass is a kernel of one.
type pass struct {
	kernel string
	number int // of the pass
	gate   *buffer
}

// newUpdater prepares passes; the device is entered.
func (d *Device) newUpdater(pieces []engine.Piece) *updater {
	p := &updater{d: d, pieces: pieces, launches: map[pass]*launch{}}
	p.trained, p.all = d.parameters(pieces, true), d.parameters(pieces, false)
	p.part, p.told = d.alloc(4*p.trained.blocks), d.alloc(mostPasses*settingsBytes/4)
	return p
}

// BindUpdate prepares an optimiser's pass. What package optim has is computed by
// kernels, over all parameters at once. Any other rule is Go, so it is computed on the
// host, with the parameters copied there and back: right, and slow.
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

// send copies the settings of the first n passes to where kernels read them.
func (p *updater) send(n int) { p.d.copyTo(p.told, unsafe.Pointer(&p.settings), n*settingsBytes) }

// start puts a kernel of a pass into the stream.
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

// norm sums the squares of all gradients: of stretches, which are added in their order.
type norm struct {
	squares, total *launch
	sum            *buffer // a float64
}

// newNorm prepares one; nil where the device has failed. The device is entered.
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

// BindNorm prepares the norm of all gradients.
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
		*result = math.NaN() // what it stays where the device fails
		n.start(d)
		d.copyFrom(unsafe.Pointer(result), n.sum, 8)
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
