package kernel

import (
	"reflect"
	"runtime"
	"slices"
	"strings"
)

// Path names the instructions that one kind of work uses in each precision. The name is
// empty if the precision has no kernel of its own for the work.
type Path struct {
	Op   string `json:"op"`
	FP32 string `json:"fp32"`
	BF16 string `json:"bf16"`
	INT8 string `json:"int8"`
}

// Paths lists, for every kind of operation of a network, the instructions that the
// kernels of the table use.
func (s *Set) Paths() []Path {
	h, i, q := &s.BF16, &s.Int16, &s.Int8
	words := "int16 " + i.Unit + ", transforms " + written(i.Tiles.Input, i.Tiles.Output, i.Tiles.Filter, i.Tiles.Quantise)
	if s.ISA == AMX { // whose direct products of bfloat16 are faster
		words = ""
	}
	direct := h.Unit
	if i.ForBF16 {
		direct += "; 1x1 of inference int16 " + i.Unit
	}
	return []Path{
		{"convolution and linear layer, with both gradients", written(s.Gemm), direct, q.Unit},
		{"3x3 convolution of stride 1 by Winograd's filtering", written(s.Gemm, s.Mix2), words, ""},
		{"batch norm, ReLU and residual addition", written(s.MeanM2, s.ScaleShift), written(h.MeanM2, h.ScaleShift, h.Finish), written(q.DotBytes, q.Bytes)},
		{"their gradients", written(s.BNReduce, s.BNGrad), written(h.BNReduce, h.BNGrad), ""},
		{"max pooling and its gradient", written(s.MaxPool, s.MaxPoolGrad), written(h.MaxPool, h.MaxPoolGrad), written(q.MaxPool)},
		{"average pooling, single elementwise operations", written(s.Axpy, s.Add, s.ReLU), written(s.Axpy, s.Add, s.ReLU, h.Widen, h.Narrow), written(q.SumRows, q.Widen, q.Narrow)},
		{"weights into the order of the products", written(s.Pack, s.PackTransposed), written(h.PackPairsFloat, h.PackPairsTransposed), written(q.PackQuads)},
		{"factors of a weight's gradient into that order", "as they are", written(h.Transpose, h.PackPairs), ""},
		{"patches for convolutions of few channels", "as they are", written(h.Patches), ""},
	}
}

// suffixes are the endings of the names of kernels, by instruction set.
var suffixes = []struct{ suffix, unit string }{
	{"AMX", "AMX"}, {"AVX512BF16", "AVX512_BF16"}, {"AVX512VNNI", "AVX512_VNNI"}, {"AVX512", "AVX-512"}, {"AVX2", "AVX2"},
}

// written names the instruction sets that the given kernels are written for.
func written(functions ...any) string {
	var units []string
	for _, f := range functions {
		name := runtime.FuncForPC(reflect.ValueOf(f).Pointer()).Name()
		name = strings.TrimSuffix(name, "[...]")
		found := "plain Go"
		for _, s := range suffixes {
			if strings.HasSuffix(name, s.suffix) {
				found = s.unit
				break
			}
		}
		if !slices.Contains(units, found) {
			units = append(units, found)
		}
	}
	return strings.Join(units, ", ")
}
