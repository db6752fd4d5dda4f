package ptq

import (
	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/exchange"
	"github.com/residual-ml/residual/internal/number"
	"github.com/residual-ml/residual/modelfile"
	"github.com/residual-ml/residual/quant"
)

// Config says how a net is quantised. The zero value is a sensible default.
type Config struct {
	Method  quant.Method // how ranges are chosen; empty tries all and takes the one with the least error
	MaxDrop float64      // points of accuracy that may be lost on the test images; 0: 0.3
	Images  int          // images to observe; 0: 256
	Seed    uint64       // of the choice of images
	Batch   int          // images in a batch of an evaluation; 0: 128

	// Progress, if it is not nil, is called as the work goes on: with the name of a stage and how
	// much of it is done. It is called with done 0 at the beginning of each stage.
	Progress func(stage string, done, total int)
}

const (
	defaultDrop   = 0.3
	defaultImages = 256
	defaultBatch  = 128
	tooLarge      = 0.1 // error of a layer that stays in floating point if no accuracy can be measured
)

// Result is a quantised net with what was measured.
type Result struct {
	Net  *quant.Net       `json:"-"`
	Info checkpoint.Model `json:"-"` // describes Net, for its file

	Method  quant.Method  `json:"method"`  // that was chosen
	Methods []MethodError `json:"methods"` // all that were tried
	Data    string        `json:"data"`    // where the images came from
	Images  int           `json:"images"`  // images that were observed
	Random  bool          `json:"random"`  // the images were random numbers, so the ranges are a guess
	MaxDrop float64       `json:"max_drop"`
	Drop    *number.Float `json:"drop"` // points of accuracy that were lost; null where none was measured
	Error   number.Float  `json:"error"`
	Layers  []Layer       `json:"layers"`
	States  []State       `json:"states"` // fp32, the device's preferred precision, and quantised
}

// MethodError is the error of a net quantised by a method: the root mean square of the change of
// its outputs, as a fraction of their standard deviation.
type MethodError struct {
	Method quant.Method `json:"method"`
	Error  number.Float `json:"error"`
}

// Layer describes a convolution or linear layer.
type Layer struct {
	Layer     string        `json:"layer"` // the name of its weight
	Quantised bool          `json:"quantised"`
	Why       string        `json:"why,omitempty"` // why it is not quantised
	High      number.Float  `json:"high"`          // the end of the range of its input; 0 for a layer that cannot be quantised
	Seen      number.Float  `json:"seen"`          // the largest input that was observed
	Error     *number.Float `json:"error"`         // of the outputs if this layer alone is quantised; null for a layer that cannot be
	Before    *number.Float `json:"milliseconds_before"`
	After     *number.Float `json:"milliseconds_after"`
}

// State is a net in one precision.
type State struct {
	Precision       string        `json:"precision"`
	Accuracy        *number.Float `json:"accuracy"` // null where none was measured
	Loss            *number.Float `json:"loss"`
	Latency         number.Float  `json:"milliseconds"` // of one image
	ImagesPerSecond number.Float  `json:"images_per_second"`
}

// Save writes the quantised model into a file: safetensors, or an ONNX graph where the name ends in
// .onnx. It replaces the file atomically.
func (r *Result) Save(path string) error {
	m := modelfile.Model{Path: path, Module: r.Net, Info: r.Info}
	m.Graph, _ = r.Net.Module.(*exchange.Network)
	return m.Save(path)
}
