package cpu

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// errorLayer is a 3x3 convolution of two images, with the tiling that training chooses for
// it, and its operands.
type errorLayer struct {
	channels, size, m int
	x, y, dy, dx      *engine.Value
	w, dw             *engine.Value
	at                map[*engine.Value]memory
}

// fill makes the operands: activations as behind a ReLU, and gradients whose size differs
// between images, pixels and channels, as in training.
func (l *errorLayer) fill() {
	r := rand.New(rand.NewPCG(61, uint64(l.channels)))
	l.at = map[*engine.Value]memory{}
	for _, v := range []**engine.Value{&l.x, &l.y, &l.dy, &l.dx} {
		*v = &engine.Value{Shape: tensor.Shape{2, l.channels, l.size, l.size}, Layout: engine.Images, DType: tensor.BFloat16}
		l.at[*v] = alloc((*v).Words())
	}
	for _, v := range []**engine.Value{&l.w, &l.dw} {
		*v = &engine.Value{Shape: tensor.Shape{l.channels, l.channels, 3, 3}, Layout: engine.ConvWeight, DType: tensor.Float32}
		l.at[*v] = alloc((*v).Words())
	}
	x, dy, w := l.at[l.x].bf16(), l.at[l.dy].bf16(), l.at[l.w]
	images, channels, pixels := make([]float64, 2), make([]float64, l.channels), make([]float64, len(x)/l.channels) // sizes of gradients
	for i := range images {
		images[i] = 1e-4 * math.Exp(r.NormFloat64())
	}
	for i := range channels {
		channels[i] = math.Exp(r.NormFloat64() / 2)
	}
	for i := range pixels {
		pixels[i] = math.Exp(r.NormFloat64() * 3 / 4)
	}
	for i := range x {
		x[i] = tensor.ToBFloat16(float32(max(0, r.NormFloat64())))
		dy[i] = tensor.ToBFloat16(float32(r.NormFloat64() * channels[i%l.channels] * images[i/l.channels%2] * pixels[i/l.channels]))
	}
	for i := range w {
		w[i] = float32(r.NormFloat64() * math.Sqrt(2/float64(9*l.channels)))
	}
}

// reference returns the convolution and its gradients in float64.
func (l *errorLayer) reference(win engine.Window) (y, dx, dw []float64) {
	wide := func(v *engine.Value) (out []float64) {
		for _, h := range l.at[v].bf16() {
			out = append(out, float64(tensor.FromBFloat16(h)))
		}
		return out
	}
	x, dy, w, c := wide(l.x), wide(l.dy), l.at[l.w], l.channels
	y, dx, dw = make([]float64, len(x)), make([]float64, len(x)), make([]float64, len(w))
	for p := range l.size * l.size {
		for _, t := range forwardTaps(win, l.size, l.size, p/l.size, p%l.size) {
			for n := range 2 {
				in, out := (t.source*2+n)*c, (p*2+n)*c
				for ci := range c {
					row, sums := w[(t.index*c+ci)*c:][:c], dw[(t.index*c+ci)*c:][:c]
					v, g := x[in+ci], 0.0
					for co, f := range row {
						y[out+co] += v * float64(f)
						g += dy[out+co] * float64(f)
						sums[co] += v * dy[out+co]
					}
					dx[in+ci] += g
				}
			}
		}
	}
	return y, dx, dw
}

// errors returns the root mean square of the errors of the convolution and of its gradients
// for the input and the weight, relative to that of the results.
func (l *errorLayer) errors(t *testing.T, win engine.Window, o Options, f *tiling, want [3][]float64) (errors [3]float64) {
	t.Helper()
	d, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	d.forced = f
	for i, s := range []engine.Step{
		&engine.Conv{Window: win, X: l.x, W: l.w, Y: l.y},
		&engine.ConvGradInput{Window: win, W: l.w, DY: l.dy, DX: l.dx},
		&engine.ConvGradWeight{Window: win, X: l.x, DY: l.dy, DW: l.dw},
	} {
		bindTo(t, d, s, l.at).Run(0)
		v := s.Writes()[0]
		got := d.act(l.at[v], v)
		wrong, size := 0.0, 0.0
		for k, w := range want[i] {
			e := float64(got.get(k)) - w
			wrong, size = wrong+e*e, size+w*w
		}
		errors[i] = math.Sqrt(wrong / size)
	}
	return errors
}

// act returns memory as an activation in the type of a value.
func (d *Device) act(m memory, v *engine.Value) activation {
	if v.DType == tensor.BFloat16 {
		return activation{bf16: m.bf16()}
	}
	return activation{full: m}
}

// TestGradientError: convolutions and gradients of their inputs by 16-bit integers are
// closer to float64 than direct sums of bfloat16, which round the weights, and gradients of
// weights are eight times closer than they would be if they were rounded to bfloat16.
func TestGradientError(t *testing.T) {
	win := engine.Window{Conv2d: graph.Conv2d{StrideH: 1, StrideW: 1, PadH: 1, PadW: 1, DilationH: 1, DilationW: 1, Groups: 1}, KH: 3, KW: 3}
	for _, l := range []errorLayer{{channels: 64, size: 24, m: 4}, {channels: 128, size: 12, m: 4}, {channels: 256, size: 14, m: 4}, {channels: 256, size: 6, m: 3}} {
		l.fill()
		y, dx, dw := l.reference(win)
		want := [3][]float64{y, dx, dw}
		direct := l.errors(t, win, Options{Threads: 2, Direct: true}, nil, want)
		tiled := l.errors(t, win, Options{Threads: 2}, &tilings[l.m-2], want)
		t.Logf("%d channels of %dx%d, F(%d,3): errors %.3g, of direct sums %.3g", l.channels, l.size, l.size, l.m, tiled, direct)
		for i, what := range []string{"convolution", "gradient of the input"} {
			if !(tiled[i] < direct[i]) {
				t.Errorf("%d channels of %dx%d: the %s has the error %.3g, by direct sums %.3g", l.channels, l.size, l.size, what, tiled[i], direct[i])
			}
		}
		if !(tiled[2] < 0x1p-9/8) {
			t.Errorf("%d channels of %dx%d: the gradient of the weight has the error %.3g", l.channels, l.size, l.size, tiled[2])
		}
	}
}
