package checkpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"

	"github.com/residual-ml/residual/prepare"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/safetensors"
)

// Model says all that is needed to use a file of weights.
type Model struct {
	Architecture string   `json:"architecture"`     // a name the registry of models knows
	Blocks       []int    `json:"blocks,omitempty"` // in each stage, where they are not the architecture's own
	Classes      []string `json:"classes"`          // names, in the order of the logits

	prepare.Input // the images that the network takes: channels, height, width and preprocess

	// Versions of what made the file; SaveModel fills them in when they are empty.
	Residual string `json:"residual"`
	Go       string `json:"go"`

	// Output is the output of an ONNX graph that the logits are, where it has several.
	Output string `json:"output,omitempty"`

	Dataset string  `json:"dataset,omitempty"`
	Epoch   int     `json:"epoch"` // epochs trained
	Metrics Metrics `json:"metrics,omitempty"`
}

// Metrics are figures by name, such as test_accuracy. In JSON, which has no
// other word for them, NaN and the infinities are the strings NaN, +Inf, -Inf.
type Metrics map[string]float64

// MarshalJSON implements json.Marshaler.
func (m Metrics) MarshalJSON() ([]byte, error) {
	values := make(map[string]json.RawMessage, len(m))
	for name, v := range m {
		values[name] = appendNumber(nil, v, 64)
	}
	return json.Marshal(values)
}

// UnmarshalJSON implements json.Unmarshaler.
func (m *Metrics) UnmarshalJSON(b []byte) error {
	var values map[string]any
	if err := json.Unmarshal(b, &values); err != nil {
		return err
	}
	*m = make(Metrics, len(values))
	for name, v := range values {
		switch v := v.(type) {
		case float64:
			(*m)[name] = v
		case string:
			f, err := strconv.ParseFloat(v, 64)
			if err != nil {
				return fmt.Errorf("metric %q: %q is not a number", name, v)
			}
			(*m)[name] = f
		default:
			return fmt.Errorf("metric %q is not a number", name)
		}
	}
	return nil
}

// appendNumber appends a JSON number, or a string where JSON has no number.
func appendNumber(b []byte, v float64, bits int) []byte {
	text := strconv.FormatFloat(v, 'g', -1, bits)
	if math.IsNaN(v) || math.IsInf(v, 0) {
		text = strconv.Quote(text)
	}
	return append(b, text...)
}

// metadataKey is where a model file keeps its Model, as JSON.
const metadataKey = "residual"

// SaveModel writes the weights and m into one safetensors file, whole or not at
// all. Empty versions, scale and interpolation are written as what they mean.
func SaveModel(path string, m Model, state []tensor.Named) error {
	metadata, err := m.Metadata()
	if err != nil {
		return fmt.Errorf("%s was not written: %w", path, err)
	}
	metadata["format"] = "pt" // tells PyTorch's readers how the elements lie
	return WriteFile(path, func(w io.Writer) error { return safetensors.Write(w, state, metadata) })
}

// Metadata returns what files of the model keep in their metadata, of whatever
// format they are.
func (m Model) Metadata() (map[string]string, error) {
	m = m.resolved()
	residual, goVersion := Versions()
	if m.Residual == "" {
		m.Residual = residual
	}
	if m.Go == "" {
		m.Go = goVersion
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	text, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	return map[string]string{metadataKey: string(text)}, nil
}

// LoadModel opens a model file and reads what it says of itself; the weights
// are read from the File, which the caller closes. Unknown fields, those of a
// later version, are left out.
func LoadModel(path string) (Model, *safetensors.File, error) {
	f, err := safetensors.Open(path)
	if err != nil {
		return Model{}, nil, err
	}
	m, err := describe(f, path)
	if err != nil {
		f.Close()
		return Model{}, nil, err
	}
	return m, f, nil
}

// ReadModel is LoadModel for the size bytes in r; name stands for the file in
// errors. Closing the File leaves r alone.
func ReadModel(r io.ReaderAt, size int64, name string) (Model, *safetensors.File, error) {
	f, err := safetensors.Read(r, size, name)
	if err != nil {
		return Model{}, nil, err
	}
	m, err := describe(f, name)
	return m, f, err
}

func describe(f *safetensors.File, name string) (Model, error) {
	m, err := ModelIn(f.Metadata())
	if err != nil {
		return Model{}, fmt.Errorf("%s: not a Residual model: %w; give a file that residual train wrote, or make a model of weights with residual import", name, err)
	}
	return m, nil
}

// ErrNoModel is the error of ModelIn where the metadata say nothing of a model, as in other
// programs' files.
var ErrNoModel = errors.New("its metadata has no entry \"" + metadataKey + "\", so its architecture and classes are not known")

// ModelIn reads what Model.Metadata has made, out of a file's metadata.
func ModelIn(metadata map[string]string) (Model, error) {
	text, ok := metadata[metadataKey]
	if !ok {
		return Model{}, ErrNoModel
	}
	var m Model
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return Model{}, fmt.Errorf("its description cannot be read (%w)", err)
	}
	m = m.resolved()
	return m, m.check()
}

func (m Model) resolved() Model {
	m.Input = prepare.Resolved(m.Input)
	return m
}

// check bounds every figure, so that whoever builds a network or an image from
// a file's description need not fear it.
func (m Model) check() error {
	switch {
	case m.Architecture == "":
		return fmt.Errorf("it names no architecture")
	case len(m.Classes) == 0:
		return fmt.Errorf("it names no classes")
	case m.Epoch < 0:
		return fmt.Errorf("epoch %d", m.Epoch)
	}
	const mostStages, mostBlocks = 16, 1000
	if n := len(m.Blocks); n > mostStages {
		return fmt.Errorf("%d stages of blocks, where at most %d are possible", n, mostStages)
	}
	for i, n := range m.Blocks {
		if n < 1 || n > mostBlocks {
			return fmt.Errorf("%d blocks in stage %d, where 1 to %d are possible", n, i+1, mostBlocks)
		}
	}
	return prepare.Check(m.Input)
}
