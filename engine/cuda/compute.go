//go:build cuda

package cuda

import (
	"fmt"
	"slices"
	"unsafe"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cuda/driver"
	"github.com/residual-ml/residual/graph"
)

// The operations of the kernel elementwise, numbered as in its source.
const (
	opCopy = iota
	opReLU
	opReLUGrad
	opSigmoid
	opSigmoidGrad
	opTanh
	opTanhGrad
	opAdd
	opMul
	opScale
	opFill
	opExpand
)

// compute binds the operations that have no step of their own.
func (b *binder) compute(s *engine.Compute) {
	if b.simple(s) || b.spatial(s) || b.classes(s) {
		return
	}
	if b.err == nil {
		b.err = fmt.Errorf("cuda: no kernel for %s", s.Op.Name())
	}
}

// operands is struct Operands of the kernels.
type operands struct {
	a, b, out  driver.Pointer
	alpha      float32
	ah, bh, oh int32

	references
}

func (o *operands) pointer() (unsafe.Pointer, int) {
	return unsafe.Pointer(o), int(unsafe.Offsetof(o.references))
}

// elementwise binds out = op(in...), element by element.
func (b *binder) elementwise(op int, alpha float32, out *engine.Value, in ...*engine.Value) {
	n := out.Numel()
	o := &operands{alpha: alpha, oh: bf16Flag(out)}
	o.out = o.at(b.at(out))
	all := []*engine.Value{out}
	if len(in) > 0 {
		o.a, o.ah = o.at(b.at(in[0])), bf16Flag(in[0])
	}
	if len(in) > 1 {
		o.b, o.bh = o.at(b.at(in[1])), bf16Flag(in[1])
	}
	if op != opExpand { // opExpand reads a single element of in
		all = append(all, in...)
	}
	p := b.packsOf(n, all...)
	switch op {
	case opSigmoid, opSigmoidGrad, opTanh, opTanhGrad: // computed by the element
		p = packs{"", 1}
	}
	b.launch("elementwise"+p.name, gridOfPacks(n/p.width, 1), op, n/p.width, o)
}

// kernelOf returns the number of an operation without settings.
func kernelOf(op graph.Op) (number int, ok bool) {
	switch op.(type) {
	case graph.ReLU:
		number = opReLU
	case graph.ReLUGrad:
		number = opReLUGrad
	case graph.Sigmoid:
		number = opSigmoid
	case graph.SigmoidGrad:
		number = opSigmoidGrad
	case graph.Tanh:
		number = opTanh
	case graph.TanhGrad:
		number = opTanhGrad
	case graph.Add:
		number = opAdd
	case graph.Mul:
		number = opMul
	case graph.Expand:
		number = opExpand
	default:
		return 0, false
	}
	return number, true
}

// simple binds elementwise operations and operations that move elements.
func (b *binder) simple(s *engine.Compute) bool {
	if op, ok := kernelOf(s.Op); ok {
		b.elementwise(op, 0, s.Out, s.In...)
		return true
	}
	switch op := s.Op.(type) {
	case graph.Scale:
		b.elementwise(opScale, float32(op.Factor), s.Out, s.In...)
	case *graph.Constant:
		b.elementwise(opFill, float32(op.Value), s.Out)
	case graph.Reshape:
		if engine.SameOrder(s.In[0], s.Out) {
			b.same(s.Out, s.In[0])
		} else {
			b.rearrange(s.In[0], s.Out)
		}
	case graph.Row:
		c := s.Out.Numel()
		b.words(b.at(s.Out), b.at(s.In[0]).slice(op.I*c, c))
	case graph.Stack:
		c := s.In[0].Numel()
		b.words(b.at(s.Out).slice(0, c), b.at(s.In[0]))
		b.words(b.at(s.Out).slice(c, c), b.at(s.In[1]))
	case graph.RunningStats:
		c := s.Out.Numel()
		b.launch("running_stats", line(c), c, b.at(s.In[0]), b.at(s.In[1]).slice(op.Row*c, c), b.at(b.moved(s)), op.Momentum, unbiased(op))
	default:
		return false
	}
	return true
}

// becomes returns the variable to which the result of s is assigned, if s may write it
// directly: no other step may read the result or use the variable. Otherwise it returns
// nil.
func (b *binder) becomes(s *engine.Compute) (to *engine.Value) {
	if s.Out.Keep {
		return nil
	}
	for _, other := range b.Steps {
		if a, ok := other.(*engine.Assign); ok && a.From == s.Out && to == nil {
			to = a.To
		} else if slices.Contains(other.Reads(), s.Out) {
			return nil
		}
	}
	if to == nil || !engine.SameOrder(to, s.Out) {
		return nil
	}
	for _, other := range b.Steps {
		uses := other.Reads()
		if a, ok := other.(*engine.Assign); ok && a.From != s.Out {
			uses = append(slices.Clip(uses), a.To)
		}
		if other != engine.Step(s) && slices.ContainsFunc(uses, func(v *engine.Value) bool { return v.Variable == to.Variable }) {
			return nil
		}
	}
	return to
}

// assign binds the copy of a result to a variable, unless the step of the result wrote the
// variable directly; see becomes.
func (b *binder) assign(s *engine.Assign) {
	for _, maker := range b.Steps {
		c, ok := maker.(*engine.Compute)
		if !ok || c.Out != s.From {
			continue
		}
		if _, ok := c.Op.(graph.RunningStats); ok && b.becomes(c) != nil {
			return
		}
	}
	b.elementwise(opCopy, 0, s.To, s.From)
}

// same copies a value to one of the same order, unless they share memory.
func (b *binder) same(to, from *engine.Value) {
	if b.at(to).at != b.at(from).at {
		b.elementwise(opCopy, 0, to, from)
	}
}

// words copies a buffer of float32.
func (b *binder) words(to, from *buffer) {
	o, p := &operands{}, packs{"", 1}
	o.a, o.out = o.at(from), o.at(to)
	if to.words%4 == 0 && aligned(to) && aligned(from) {
		p = packs{"_fp32", 4}
	}
	b.launch("elementwise"+p.name, gridOfPacks(to.words/p.width, 1), opCopy, to.words/p.width, o)
}

// classes binds sums, and operations over the classes of one example.
func (b *binder) classes(s *engine.Compute) bool {
	rows, k := 0, 0
	if len(s.In) > 0 && len(s.In[0].Shape) == 2 {
		rows, k = s.In[0].Shape[0], s.In[0].Shape[1]
	}
	threads := 32
	for threads < k && threads < blockSize {
		threads *= 2
	}
	each := grid{rows, 1, 1, threads}
	in := func(i int) *buffer {
		if i >= len(s.In) {
			return nil
		}
		return b.at(s.In[i])
	}
	none := (*buffer)(nil)
	switch op := s.Op.(type) {
	case graph.Softmax:
		b.launch("softmax", each, in(0), b.at(s.Out), k)
	case graph.SoftmaxGrad:
		b.launch("softmax_grad", each, in(0), in(1), b.at(s.Out), k)
	case graph.CrossEntropy:
		loss, divisor := b.borrow(0, 2*rows), b.borrow(2*rows, 2*rows)
		b.launch("cross_entropy", each, in(0), in(1), in(2), len(s.In[1].Shape) == 2, op.LabelSmoothing, k, loss, divisor)
		b.launch("quotient", grid{1, 1, 1, blockSize}, loss, divisor, rows, b.at(s.Out))
	case graph.CrossEntropyGrad:
		b.launch("cross_entropy_grad", each, in(0), in(1), in(2), in(3), len(s.In[1].Shape) == 2, op.LabelSmoothing, rows, k, b.at(s.Out))
	case graph.CountCorrect:
		hits := b.borrow(0, 2*rows)
		b.launch("correct", each, in(0), in(1), k, hits)
		b.launch("quotient", grid{1, 1, 1, blockSize}, hits, none, rows, b.at(s.Out))
	case graph.Sum:
		n := s.In[0].Numel()
		const stretch = 1 << 14
		parts := (n + stretch - 1) / stretch
		part := b.borrow(0, 2*parts)
		b.launch("sum", grid{parts, 1, 1, blockSize}, in(0), isBF16(s.In[0]), n, stretch, part)
		b.launch("quotient", grid{1, 1, 1, blockSize}, part, none, parts, b.at(s.Out))
	case graph.SumChannels:
		b.columns(sumOfX, columns{x: s.In[0], count: 1, out: b.at(s.Out)})
	default:
		return false
	}
	return true
}
