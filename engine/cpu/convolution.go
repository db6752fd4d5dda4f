package cpu

import "github.com/residual-ml/residual/engine"

// conv binds a convolution and what is fused behind it.
func (b *binder) conv(s *engine.Conv) func() {
	if s.Round != nil {
		return b.convInt8(s)
	}
	if isDepthwise(s.Window, s.X, s.Y) {
		return b.depthwiseConv(s)
	}
	if isBF16(s.X) {
		return b.convBF16(s)
	}
	n, cin, h, w := s.X.Dims()
	_, cout, oh, ow := s.Y.Dims()
	src, dst := imageBatch{h, w, n, cin, b.mem(s.X)}, imageBatch{oh, ow, n, cout, b.mem(s.Y)}
	taps := s.KH * s.KW
	weight := b.forward(s.W, s.Groups, taps, cin/s.Groups, cout/s.Groups)
	after, prepare, finish := b.epilogue(s, cout)
	runs := gather(oh, ow, n, func(y, x int) []tap { return forwardTaps(s.Window, h, w, y, x) })
	var compute func()
	images := n
	if b.Static {
		images = inferenceImages
	}
	if f, ok := b.tiling(s.Window, images, cin, cout, oh, ow, runs); ok {
		compute = b.winograd(f, src, dst, s.PadH, s.PadW, nil, after, weight)
	} else {
		p := &product{set: b.set, groups: s.Groups, k: cin / s.Groups, n: cout / s.Groups, taps: taps, src: src.data, dst: dst.data, after: after}
		p.divide(runs, n)
		frame := b.lines(p, s)
		compute = inOrder(frame, b.product(p, weight))
	}
	return inOrder(prepare, compute, finish)
}

// convGradInput binds the gradient of a convolution's input. It is the same sum with
// the input and output channels exchanged and the taps reversed.
func (b *binder) convGradInput(s *engine.ConvGradInput) func() {
	if isDepthwise(s.Window, s.DX, s.DY) {
		return b.depthwiseGradInput(s)
	}
	if isBF16(s.DY) {
		return b.convGradInputBF16(s)
	}
	n, cin, h, w := s.DX.Dims()
	_, cout, oh, ow := s.DY.Dims()
	src, dst := imageBatch{oh, ow, n, cout, b.mem(s.DY)}, imageBatch{h, w, n, cin, b.mem(s.DX)}
	taps := s.KH * s.KW
	weight := b.backward(s.W, s.Groups, taps, cout/s.Groups, cin/s.Groups)
	runs := gather(h, w, n, func(y, x int) []tap { return backwardTaps(s.Window, oh, ow, y, x) })
	if f, ok := b.tiling(s.Window, n, cin, cout, h, w, runs); ok {
		return b.winograd(f, src, dst, 2-s.PadH, 2-s.PadW, b.mem(s.Base), nil, weight)
	}
	p := &product{set: b.set, groups: s.Groups, k: cout / s.Groups, n: cin / s.Groups, taps: taps, src: src.data, dst: dst.data, base: s.Base != nil}
	p.divide(runs, n)
	compute := b.product(p, weight)
	if s.Base == nil {
		return compute
	}
	return inOrder(b.copy(p.dst, b.mem(s.Base)), compute)
}

// convBF16 binds a convolution and what is fused behind it.
func (b *binder) convBF16(s *engine.Conv) func() {
	n, cin, h, w := s.X.Dims()
	_, cout, oh, ow := s.Y.Dims()
	after, prepare, finish := b.epilogue(s, cout)
	runs := gather(oh, ow, n, func(y, x int) []tap { return forwardTaps(s.Window, h, w, y, x) })
	if f, ok := b.tiling16(s, runs); ok {
		p := &winograd16{
			tiledWork: tiledWork{f: f, padH: s.PadH, padW: s.PadW},
			src:       images16{geometry{h, w, n, cin}, b.act(s.X).bf16}, dst: images16{geometry{oh, ow, n, cout}, b.act(s.Y).bf16}, after: after,
		}
		return inOrder(prepare, b.winograd16(p, b.forward(s.W, 1, s.KH*s.KW, cin, cout)), finish)
	}
	if b.byLineTiles(s) {
		return inOrder(prepare, b.lineTiles(s, after), finish)
	}
	if b.byInt16(s) {
		return inOrder(prepare, b.convInt16(s, runs, after), finish)
	}
	p := &bf16Product{
		groups: s.Groups, k: cin / s.Groups, n: cout / s.Groups, taps: s.KH * s.KW,
		src: b.act(s.X).bf16, dst: b.act(s.Y), after: after,
	}
	b.divide(p, runs, n)
	var frame func()
	if !b.byStrips(p, s) && !b.byRows(p, s) {
		frame = b.bf16Lines(p, s)
	}
	return inOrder(prepare, frame, b.bf16Product(p, s.W, false), finish)
}

// convGradInputBF16 binds the gradient of a convolution's input.
func (b *binder) convGradInputBF16(s *engine.ConvGradInput) func() {
	n, cin, h, w := s.DX.Dims()
	_, cout, oh, ow := s.DY.Dims()
	if f, ok := b.device.gradInputTiling(s); ok {
		p := &winograd16{
			tiledWork: tiledWork{f: f, padH: 2 - s.PadH, padW: 2 - s.PadW},
			src:       images16{geometry{oh, ow, n, cout}, b.act(s.DY).bf16}, dst: images16{geometry{h, w, n, cin}, b.act(s.DX).bf16}, base: b.act(s.Base).bf16, signed: true,
		}
		return b.winograd16(p, b.backward(s.W, 1, s.KH*s.KW, cout, cin))
	}
	runs := gather(h, w, n, func(y, x int) []tap { return backwardTaps(s.Window, oh, ow, y, x) })
	p := &bf16Product{
		groups: s.Groups, k: cout / s.Groups, n: cin / s.Groups, taps: s.KH * s.KW,
		src: b.act(s.DY).bf16, dst: b.act(s.DX), base: b.act(s.Base), reduces: s.Reduce != nil,
	}
	b.divide(p, runs, n)
	var finish func()
	if p.reduce = b.reduceInto(s, len(p.chunks)); p.reduce != nil {
		finish = p.reduce.finish
	}
	compute := b.bf16Product(p, s.W, true)
	if p.base.full == nil {
		return inOrder(compute, finish)
	}
	return inOrder(b.copy(p.dst.full, p.base.full), compute, finish)
}

// convGradWeight binds the gradient of a convolution's weight, computed by the algorithm
// that costs least for its shape.
func (b *binder) convGradWeight(s *engine.ConvGradWeight) func() {
	if isDepthwise(s.Window, s.X, s.DY) {
		return b.depthwiseGradWeight(s)
	}
	if isBF16(s.X) {
		return b.convGradWeightBF16(s)
	}
	n, cin, h, w := s.X.Dims()
	_, cout, oh, ow := s.DY.Dims()
	runs := gather(oh, ow, n, func(y, x int) []tap { return forwardTaps(s.Window, h, w, y, x) })
	if f, ok := b.tiling(s.Window, n, cin, cout, oh, ow, runs); ok {
		return b.winogradWeight(f, imageBatch{h, w, n, cin, b.mem(s.X)}, imageBatch{oh, ow, n, cout, b.mem(s.DY)}, s)
	}
	g := &gradWeight{
		set: b.set, weightPlan: weightPlan{win: s.Window, batch: n}, cin: cin / s.Groups, cout: cout / s.Groups,
		x: b.mem(s.X), dy: b.mem(s.DY), areas: b.areas,
	}
	g.byTap = g.cin < 4 && s.KW > g.cin
	g.panels, g.blocks = ceil(g.cout, b.set.Cols), ceil(g.cin, b.set.Rows)
	if g.byTap {
		g.blocks = g.cin
	}
	parts, pixels := g.count(s.DW.Numel(), oh*ow), oh*ow
	for i := range parts {
		g.parts = append(g.parts, g.part(h, w, ow, n*cin, n*cout, pixels*i/parts, pixels*(i+1)/parts))
	}
	g.sums = b.partSums(b.mem(s.DW), parts)
	tasks := g.divide(4 * b.pool.threads)
	if g.packed = g.packs(); g.packed {
		in, out := g.packedWidths()
		b.areas.need(weightRows * (in + out))
	}
	work := g.task
	return inOrder(func() { b.pool.runOn(tasks, work) }, g.sums.add)
}
