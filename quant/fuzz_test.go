package quant_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"runtime"
	"testing"

	"github.com/residual-ml/residual/quant"
	"github.com/residual-ml/residual/tensor"
)

// Whatever a file says of its quantisation, reading it does not panic and uses memory in
// proportion to the file. What is accepted replaces the integers by numbers and removes scales.
func FuzzLoad(f *testing.F) {
	const about = `{"weights":"int8","activations":"uint8","layers":["conv.weight"]}`
	scales := binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, math.Float32bits(0.5)), math.Float32bits(0.25))
	f.Add(about, []byte{1, 2, 3, 4, 5, 6, 7, 255}, scales, uint8(2), uint8(0), int64(7))
	f.Add(about, []byte{1, 2, 3, 4}, scales, uint8(2), uint8(1), int64(math.MinInt64))
	f.Add(about, []byte{128}, scales[:4], uint8(1), uint8(2), int64(0))
	f.Add(about, []byte{1, 2}, scales, uint8(2), uint8(8), int64(3)) // a zero point without a scale
	f.Add(about, []byte{}, []byte{}, uint8(0), uint8(255), int64(0))
	f.Add(`{"weights":"int8","activations":"uint8","layers":["conv.weight","conv.weight"]}`, []byte{1}, scales[:4], uint8(1), uint8(0), int64(0))
	f.Add(`{"weights":"int4","activations":"uint8"}`, []byte{1}, scales, uint8(1), uint8(0), int64(0))
	f.Add(`{"layers":[`, []byte{1}, scales, uint8(1), uint8(0), int64(0))
	f.Fuzz(func(t *testing.T, metadata string, integers, scales []byte, channels, missing uint8, zero int64) {
		values := quantisedValues(integers, scales, int(channels), missing, zero)
		about := map[string]string{"residual.quantization": metadata}
		var s *quant.Scheme
		var err error
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		s, _, err = quant.Load(values, about)
		runtime.ReadMemStats(&after)
		size := len(metadata) + len(integers) + len(scales)
		if got := after.TotalAlloc - before.TotalAlloc; got > uint64(1<<20+256*size) { // the fuzzer allocates, too
			t.Fatalf("allocated %d bytes for a file of %d", got, size)
		}
		if err != nil {
			return
		}
		for name := range s.Layers {
			if w := values[name]; w == nil || w.DType() != tensor.Float32 {
				t.Fatalf("the weight of layer %q is %v", name, w)
			}
		}
		names, err := quant.Scales(about)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if _, ok := values[name]; ok {
				t.Fatalf("%s is still among the parameters", name)
			}
		}
	})
}

// quantisedValues returns the tensors of a layer conv, without those whose bit is set in missing.
func quantisedValues(integers, scales []byte, channels int, missing uint8, zero int64) map[string]*tensor.Tensor {
	q := make([]int64, len(integers))
	for i, v := range integers {
		q[i] = int64(int8(v))
	}
	shape := []int{channels, 0}
	if channels > 0 {
		q = q[:len(q)/channels*channels]
		shape[1] = len(q) / channels
	} else {
		q = nil
	}
	x := make([]float32, len(scales)/4)
	for i := range x {
		x[i] = math.Float32frombits(binary.LittleEndian.Uint32(scales[4*i:]))
	}
	values := map[string]*tensor.Tensor{
		"conv.weight":            tensor.FromInts(q, shape...),
		"conv.weight_scale":      tensor.FromSlice(x, len(x)),
		"conv.input_scale":       tensor.FromSlice([]float32{0.5}),
		"conv.output_scale":      tensor.FromSlice(x[:min(1, len(x))], min(1, len(x))),
		"conv.output_zero_point": tensor.FromInts([]int64{zero}),
	}
	for i, name := range []string{"weight", "weight_scale", "input_scale", "output_scale", "output_zero_point"} {
		if missing>>i&1 == 1 {
			delete(values, fmt.Sprintf("conv.%s", name))
		}
	}
	return values
}
