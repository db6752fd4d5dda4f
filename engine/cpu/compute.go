package cpu

import (
	"fmt"
	"math"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu/kernel"
	"github.com/residual-ml/residual/graph"
)

// compute binds the operations that have no step of their own.
func (b *binder) compute(s *engine.Compute) (func(), error) {
	if op, ok := s.Op.(graph.Computer); ok {
		return b.own(op, s), nil
	}
	if f, ok := b.spatial(s); ok {
		return f, nil
	}
	if f, ok := b.quantising(s); ok {
		return f, nil
	}
	in := make([]activation, len(s.In))
	for i, v := range s.In {
		in[i] = b.act(v)
	}
	out := b.act(s.Out)
	if f, ok := b.byTable(s, in, out); ok {
		return f, nil
	}
	if f, ok := elementwise(b.set, s.Op); ok {
		return b.inPieces(s, in, out, f), nil
	}
	if _, ok := s.Op.(graph.Reshape); ok {
		return b.reshape(s), nil
	}
	if f, ok := b.moving(s); ok {
		return f, nil
	}
	// The remaining operations are small or have float32 operands.
	full, before := make([]memory, len(in)), make([]func(), len(in))
	for i, v := range s.In {
		full[i], before[i] = b.widened(in[i], v.Numel())
	}
	result, after := b.narrowed(out, s.Out.Numel())
	f, ok := b.reduction(s, full, result)
	if !ok {
		return nil, fmt.Errorf("cpu: no kernel for %s; an operation of your own needs the method Compute of graph.Computer", s.Op.Name())
	}
	return inOrder(append(before, f, after)...), nil
}

// own binds an operation of a user's own, whose operands are row-major float32.
func (b *binder) own(op graph.Computer, s *engine.Compute) func() {
	n := &graph.Node{Op: op, Shape: s.Out.Shape}
	in := make([][]float32, len(s.In))
	for i, v := range s.In {
		n.Inputs = append(n.Inputs, &graph.Node{Shape: v.Shape})
		in[i] = b.mem(v)[:v.Numel()]
	}
	out := b.mem(s.Out)[:s.Out.Numel()]
	return func() {
		clear(out)
		op.Compute(n, out, in)
	}
}

// widened returns an activation as float32: its own memory, or memory for a copy and
// the function that fills it.
func (b *binder) widened(a activation, n int) (memory, func()) {
	if a.bf16 == nil {
		return a.full, nil
	}
	m := alloc(n)
	b.private += n
	return m, b.convert(activation{full: m}, a, n)
}

// narrowed returns float32 memory for the result that becomes an activation, and the
// function that rounds it, which is nil where the activation is float32 itself.
func (b *binder) narrowed(a activation, n int) (memory, func()) {
	if a.bf16 == nil {
		return a.full, nil
	}
	m := alloc(n)
	b.private += n
	return m, b.convert(a, activation{full: m}, n)
}

// pieceSize is how many elements one task of an elementwise operation computes.
const pieceSize = 1 << 14

// inPieces binds an elementwise operation. Operands in bfloat16 are widened, operands with sizes
// of 1 are repeated, and a result in bfloat16 is rounded, piece by piece.
func (b *binder) inPieces(s *engine.Compute, in []activation, out activation, f func(out []float32, in [][]float32)) func() {
	n, buffers := s.Out.Numel(), 0
	repeated := make([]func(to []float32, lo int), len(in))
	for i, a := range in {
		if s.In[i].Numel() != n {
			repeated[i] = repeater(s.In[i], s.Out, a)
		}
		if a.bf16 != nil || repeated[i] != nil {
			buffers++
		}
	}
	if out.bf16 != nil {
		buffers++
	}
	b.areas.need(buffers * pieceSize)
	arguments := make([][][]float32, ceil(n, pieceSize))
	for i := range arguments {
		arguments[i] = make([][]float32, len(in))
	}
	work := func(i, thread int) {
		lo, size := i*pieceSize, min(pieceSize, n-i*pieceSize)
		area := b.areas.of(thread)
		remaining, args := area, arguments[i]
		buffer := func() (piece []float32) {
			piece, remaining = remaining[:size], remaining[size:]
			return piece
		}
		for j, a := range in {
			switch {
			case repeated[j] != nil:
				args[j] = buffer()
				repeated[j](args[j], lo)
			case a.bf16 != nil:
				args[j] = buffer()
				b.set.BF16.Widen(args[j], a.bf16[lo:lo+size])
			default:
				args[j] = a.full[lo : lo+size]
			}
		}
		if out.bf16 == nil {
			f(out.full[lo:lo+size], args)
			return
		}
		result := buffer()
		f(result, args)
		b.set.BF16.Narrow(out.bf16[lo:lo+size], result)
	}
	return func() { b.pool.runOn(len(arguments), work) }
}

// elementwise returns the function of an elementwise operation.
func elementwise(set *kernel.Set, op graph.Op) (f func(out []float32, in [][]float32), ok bool) {
	switch op := op.(type) {
	case graph.ReLU:
		return func(out []float32, in [][]float32) { set.ReLU(out, in[0]) }, true
	case graph.ReLUGrad:
		return func(out []float32, in [][]float32) { set.ReLUGrad(out, in[0], in[1]) }, true
	case graph.Add:
		return func(out []float32, in [][]float32) { set.Add(out, in[0], in[1]) }, true
	case graph.Mul:
		return func(out []float32, in [][]float32) { set.Mul(out, in[0], in[1]) }, true
	case graph.Scale:
		return func(out []float32, in [][]float32) { set.Scale(out, float32(op.Factor), in[0]) }, true
	case graph.Sigmoid:
		return func(out []float32, in [][]float32) {
			for i, x := range in[0] {
				out[i] = float32(1 / (1 + math.Exp(-float64(x))))
			}
		}, true
	case graph.SigmoidGrad:
		return func(out []float32, in [][]float32) {
			for i, y := range in[1] {
				out[i] = float32(in[0][i]*y) * (1 - y)
			}
		}, true
	case graph.Tanh:
		return func(out []float32, in [][]float32) {
			for i, x := range in[0] {
				out[i] = float32(math.Tanh(float64(x)))
			}
		}, true
	case graph.TanhGrad:
		return func(out []float32, in [][]float32) {
			for i, y := range in[1] {
				out[i] = in[0][i] * (1 - float32(y*y))
			}
		}, true
	case graph.Unary, graph.UnaryGrad, graph.Binary, graph.BinaryGrad, graph.Where:
		return functions(op), true
	case *graph.Constant:
		return func(out []float32, _ [][]float32) {
			for i := range out {
				out[i] = float32(op.Value)
			}
		}, true
	}
	return nil, false
}

func runningStats(op graph.RunningStats, in []memory, out memory) func() {
	m := op.Momentum
	unbiased := 1.0
	if op.Row == 1 {
		unbiased = float64(op.Count) / float64(op.Count-1)
	}
	return func() {
		for c, old := range in[0] {
			out[c] = float32(float64((1-m)*float64(old)) + m*float64(float64(in[1][op.Row*len(out)+c])*unbiased))
		}
	}
}

// spatial binds operations over the pixels of images.
func (b *binder) spatial(s *engine.Compute) (func(), bool) {
	in := s.In
	switch op := s.Op.(type) {
	case graph.MaxPool2d:
		return b.maxPool(op, in[0], s.Out), true
	case graph.MaxPool2dGrad:
		return b.maxPoolGrad(op.MaxPool2d, in[0], in[1], in[2], s.Out), true
	case graph.AvgPool2d:
		_, _, h, w := in[0].Dims()
		_, _, oh, ow := s.Out.Dims()
		return b.weigh(engine.Averages(op, h, w, oh, ow), in[0], s.Out), true
	case graph.AvgPool2dGrad:
		_, _, oh, ow := in[0].Dims()
		return b.weigh(engine.Transposed(engine.Averages(op.AvgPool2d, op.H, op.W, oh, ow), op.H*op.W), in[0], s.Out), true
	case graph.AdaptiveAvgPool2d:
		if isBytes(in[0]) {
			return b.meanOfBytes(in[0], s.Out), true
		}
		_, _, h, w := in[0].Dims()
		return b.weigh(engine.AdaptiveAverages(h, w, op.H, op.W), in[0], s.Out), true
	case graph.AdaptiveAvgPool2dGrad:
		_, _, oh, ow := in[0].Dims()
		return b.weigh(engine.Transposed(engine.AdaptiveAverages(op.H, op.W, oh, ow), op.H*op.W), in[0], s.Out), true
	case graph.Upsample:
		_, _, h, w := in[0].Dims()
		return b.weigh(engine.Interpolated(op, h, w), in[0], s.Out), true
	case graph.UpsampleGrad:
		return b.weigh(engine.Transposed(engine.Interpolated(op.Upsample, op.FromH, op.FromW), op.FromH*op.FromW), in[0], s.Out), true
	case graph.Dropout:
		return b.dropout(op, in[0], s.Out), true
	case graph.StochasticDepth:
		return b.stochasticDepth(op, in[0], s.Out), true
	case graph.PadChannels, graph.TakeChannels:
		return b.channels(in[0], s.Out), true
	case graph.SumChannels:
		return b.sumChannels(s), true
	}
	return nil, false
}

// reduction binds sums, and operations over the classes of one example.
func (b *binder) reduction(s *engine.Compute, in []memory, out memory) (func(), bool) {
	k := 1
	if sh := s.In; len(sh) > 0 && len(sh[0].Shape) > 0 {
		k = sh[0].Shape[len(sh[0].Shape)-1]
	}
	row := make([]float64, k)
	rows := 0
	if len(in) > 0 && k > 0 {
		rows = len(in[0]) / k
	}
	switch op := s.Op.(type) {
	case graph.Expand:
		return b.blocks(len(out), func(lo, hi int) {
			for i := lo; i < hi; i++ {
				out[i] = in[0][0]
			}
		}), true
	case graph.Row:
		if s.Out.IsRow(op.I, s.In[0]) {
			return nil, true
		}
		c := len(out)
		return func() { copy(out, in[0][op.I*c:(op.I+1)*c]) }, true
	case graph.Stack:
		return func() { copy(out[copy(out, in[0]):], in[1]) }, true
	case graph.RunningStats:
		return runningStats(op, in, out), true
	case graph.Sum:
		return func() {
			total := 0.0
			for _, v := range in[0] {
				total += float64(v)
			}
			out[0] = float32(total)
		}, true
	case graph.Softmax:
		return func() {
			for i := range rows {
				softmaxRow(row, in[0][i*k:(i+1)*k])
				for j, v := range row {
					out[i*k+j] = float32(v)
				}
			}
		}, true
	case graph.SoftmaxGrad:
		return func() {
			for i := range rows {
				softmaxGradRow(out[i*k:(i+1)*k], in[0][i*k:(i+1)*k], in[1][i*k:(i+1)*k])
			}
		}, true
	case graph.CrossEntropy:
		return crossEntropy(op.LabelSmoothing, k, rows, len(s.In[1].Shape) == 2, in, out), true
	case graph.CrossEntropyGrad:
		return crossEntropyGrad(op.LabelSmoothing, k, rows, len(s.In[1].Shape) == 2, in, out), true
	case graph.CountCorrect:
		return func() { out[0] = countCorrect(in[0], in[1], k) }, true
	}
	return nil, false
}

func softmaxGradRow(dx, dy, y []float32) {
	dot := 0.0
	for j, v := range y {
		dot += float64(v) * float64(dy[j])
	}
	for j, v := range y {
		dx[j] = float32(float64(v) * (float64(dy[j]) - dot))
	}
}

// countCorrect counts the rows in which the largest logit is at the label; of equal
// ones the first counts. NaN is larger than any number, as in PyTorch's argmax.
func countCorrect(logits, labels memory, k int) float32 {
	n := 0
	for i, label := range labels {
		x, best := logits[i*k:(i+1)*k], 0
		for j, v := range x {
			if v > x[best] || v != v && x[best] == x[best] {
				best = j
			}
		}
		if best == int(label) {
			n++
		}
	}
	return float32(n)
}

func (b *binder) sumChannels(s *engine.Compute) func() {
	blocks := blocksOf(s.In[0])
	c := blocks.channels
	part := b.newSums(blocks.count, c)
	x, out := b.act(s.In[0]), b.mem(s.Out)
	work := func(i int) {
		lo, rows := blocks.at(i)
		sumRows(b.set, part.block(i), x.at(lo), rows, c, c)
	}
	return func() {
		b.pool.run(blocks.count, work)
		for i, v := range part.add() {
			out[i] = float32(v)
		}
	}
}
