package engine

import (
	"fmt"

	"github.com/residual-ml/residual/tensor"
)

// Precision is the number format that a program computes in.
type Precision uint8

const (
	// FP32 stores everything in float32 and multiplies in float32.
	FP32 Precision = iota

	// BF16 stores activations and their gradients in bfloat16 and multiplies
	// bfloat16 in convolutions and linear layers, with sums in float32.
	// Parameters, their gradients, statistics, losses, the optimiser's state and
	// values without pixels, such as logits, stay in float32. This is the mixed
	// precision of Micikevicius et al. 2018 and of torch.autocast. Bfloat16 has
	// the range of float32, so the loss needs no scaling.
	BF16

	// TF32 stores everything in float32. Convolutions and linear layers round their
	// factors to ten bits of mantissa and sum in float32, as the tensor cores of NVIDIA
	// GPUs do. The CPU does not support it.
	TF32

	// INT8 computes the convolutions and linear layers whose input and weight are quantised
	// (see graph.FakeQuantize) with integers of 8 bits, and everything else as BF16 does. It
	// is for inference. Integer sums are exact, and what is rounded is rounded in the same
	// order everywhere, so a program gives the same bits on every processor.
	INT8
)

// Purpose is what a program is for. Some devices multiply fastest in one precision in inference and
// in another in training, where weights change at every step.
type Purpose uint8

// The purposes.
const (
	Inference Purpose = iota
	Training
)

// Auto stands for the precision that suits a model and a device best: INT8 for a quantised model
// where the device computes it, and otherwise the device's Preferred for inference. Functions that open models
// accept it; Compile does not.
const Auto Precision = 255

// PrecisionNames lists the names that ParsePrecision accepts for every program. For inference
// it also accepts "int8".
func PrecisionNames() []string { return []string{"auto", "bf16", "tf32", "fp32"} }

// String returns the name that ParsePrecision accepts.
func (p Precision) String() string {
	if p == Auto {
		return "auto"
	}
	return [...]string{"fp32", "bf16", "tf32", "int8"}[p]
}

// ParsePrecision reads "fp32", "bf16", "tf32", "int8" or "auto", which is the precision that d
// prefers for the purpose.
func ParsePrecision(name string, d Device, purpose Purpose) (Precision, error) {
	switch name {
	case "auto":
		return d.Preferred(purpose), nil
	case "fp32":
		return FP32, nil
	case "bf16":
		return BF16, nil
	case "tf32":
		return TF32, nil
	case "int8":
		return INT8, nil
	}
	return 0, fmt.Errorf("precision %q is not known; choose auto, int8, bf16, tf32 or fp32", name)
}

// dtype is the type in which a temporary value of this layout is stored. Only activations
// with pixels are stored in bfloat16, since they take most of the memory and time.
func (p Precision) dtype(l Layout) tensor.DType {
	if p.half() && l == Images {
		return tensor.BFloat16
	}
	return tensor.Float32
}

// half reports whether activations that are not quantised are stored in bfloat16.
func (p Precision) half() bool { return p == BF16 || p == INT8 }

// operand is the type of a linear layer's factors.
func (p Precision) operand() tensor.DType {
	if p.half() {
		return tensor.BFloat16
	}
	return tensor.Float32
}
