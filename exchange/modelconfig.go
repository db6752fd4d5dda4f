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

	// How images are prepared; see prepare.Choice. If only Size is given, the ratio of the
	// resized shorter side to Size stays as the file or the model says.
	Resize        int     // size of the shorter side
	Crop          float64 // instead of Resize, which becomes Size/Crop rounded down; timm's crop_pct
	Size          int     // side of the square centre crop
	Interpolation string  // one of prepare.Interpolations
	Mean, Std     []float64
	Squash        bool    // both sides are resized to Size, without a crop
	Scale         float64 // factor on each byte, before Mean and Std: 1 keeps 0 to 255; 0 means the file's, or 1/255
	BGR           bool    // the channels are in the order blue, green, red, also in Mean and Std

	// Zeros says where the shortcuts without parameters of CIFAR residual nets add their
	// channels of zeros: ZerosLast (also if it is empty), or ZerosBoth for one half before
	// and one half after the others. Weights do not tell which is right; an ONNX graph does.
	Zeros string

	// Ignore lists tensors to leave out, by their name in the file or by a prefix of it that
	// ends at a dot: criterion also stands for criterion.weight.
	Ignore []string
}

// choice returns the part of c that says how images are prepared.
func (c ModelConfig) choice() prepare.Choice {
	return prepare.Choice{
		Size: c.Size, Resize: c.Resize, Crop: c.Crop, Squash: c.Squash, Interpolation: c.Interpolation,
		Scale: c.Scale, Mean: c.Mean, Std: c.Std, BGR: c.BGR,
	}
}
