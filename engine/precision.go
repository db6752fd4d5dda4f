package engine

import (
	"fmt"

	"github.com/residual-ml/residual/tensor"
)

// Precision says in which numbers a program computes.
type Precision uint8

const (
	// FP32 stores everything in float32 and multiplies in float32.
	FP32 Precision = iota

	// BF16 stores activations and their gradients in bfloat16 and multiplies
	// bfloat16 in convolutions and linear layers, with sums in float32.
	// Parameters, their gradients, statistics, losses, the optimiser and
	// whatever has no pixels, such as logits, stay in float32: the mixed
	// precision of Micikevicius et al. 2018 and of torch.autocast. Bfloat16 has
	// the range of float32, so the loss needs no scaling.
	BF16

	// TF32 stores everything in float32, and rounds what convolutions and linear layers
	// multiply to ten bits of mantissa, with sums in float32: what the tensor cores of
	// GPUs make of float32. The CPU does not compute in it.
	TF32
)

// PrecisionNames lists what ParsePrecision reads.
func PrecisionNames() []string { return []string{"auto", "bf16", "tf32", "fp32"} }

// String returns the name ParsePrecision reads.
func (p Precision) String() string {
	return [...]string{"fp32", "bf16", "tf32"}[p]
}

// ParsePrecision reads "fp32", "bf16", "tf32" or, for what suits the device best, "auto".
func ParsePrecision(name string, d Device) (Precision, error) {
	switch name {
	case "auto":
		return d.Preferred(), nil
	case "fp32":
		return FP32, nil
	case "bf16":
		return BF16, nil
	case "tf32":
		return TF32, nil
	}
	return 0, fmt.Errorf("precision %q is not known; choose auto, bf16, tf32 or fp32", name)
}

// dtype is what a temporary value of this layout is stored in: activations with
// pixels are what takes room and time.
func (p Precision) dtype(l Layout) tensor.DType {
	if p == BF16 && l == Images {
		return tensor.BFloat16
	}
	return tensor.Float32
}

// operand is what a linear layer multiplies.
func (p Precision) operand() tensor.DType {
	if p == BF16 {
		return tensor.BFloat16
	}
	return tensor.Float32
}
