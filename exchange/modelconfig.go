package exchange

import (
	"github.com/residual-ml/residual/prepare"
)

// ModelConfig holds what the caller knows about a file of weights. A zero field is taken
// from the first of these that says it: the file, if Residual wrote it; the files
// config.json and preprocessor_config.json beside it, as timm and transformers write them;
// the model's own values in the registry.
type ModelConfig struct {
	Model   string   // a name in the registry; empty: found by the names and shapes of the tensors
	Classes []string // names in the order of the logits; nil: "class 0", "class 1" ...

	// Output names the output of an ONNX graph that holds the logits, if the graph has
	// several; empty: the first that is [N, classes].
	Output string

	// Images says how images are prepared. If only its Size is given, the ratio of the resized
	// shorter side to Size stays as the file or the model says.
	Images prepare.Choice

	// Zeros says where the shortcuts without parameters of CIFAR residual nets add their
	// channels of zeros: ZerosLast (also if it is empty), or ZerosBoth for one half before
	// and one half after the others. Weights do not show which is right; an ONNX graph does.
	Zeros string

	// Ignore lists tensors to leave out, by their name in the file or by a prefix of it that
	// ends at a dot: criterion also stands for criterion.weight.
	Ignore []string
}
