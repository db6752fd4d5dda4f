package checkpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"

	"github.com/residual-ml/residual/internal/number"
	"github.com/residual-ml/residual/prepare"
	"github.com/residual-ml/residual/task"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/safetensors"
)

// Model describes a file of weights: everything that is needed to use it.
type Model struct {
	// Architecture is a name in the registry of models. For a network of your own it is another
	// name, such as that of its type; the weights are then opened by OpenInto of package modelfile.
	Architecture string `json:"architecture"`
	Blocks       []int  `json:"blocks,omitempty"` // blocks in each stage, if they differ from the architecture's own
	// Task says what the network predicts; empty means task.Classes. Classes, Labels or Values
	// lists the names in the order of the outputs. Classes also names the classes of a mask.
	Task    task.Task `json:"task,omitempty"`
	Classes []string  `json:"classes,omitempty"`
	Labels  []string  `json:"labels,omitempty"`
	Values  []string  `json:"values,omitempty"`
	// ValueMean and ValueStd convert the outputs to values: output·std + mean. Both are empty if
	// the outputs are values already.
	ValueMean []float64 `json:"value_mean,omitempty"`
	ValueStd  []float64 `json:"value_std,omitempty"`
	// TargetShape is the shape of the values of one image, if that is not one value for each name.
	TargetShape []int `json:"target_shape,omitempty"`

	prepare.Input // the images that the network takes: channels, height, width and preprocess

	// Versions of the program that made the file; SaveModel fills them in when they are empty.
	Residual string `json:"residual"`
	Go       string `json:"go"`

	// Output names the output of an ONNX graph that holds the logits, if the graph has several.
	Output string `json:"output,omitempty"`

	// Temperature is what the logits are divided by for probabilities that are as sure as they
	// are right: one number for classes, or one for each label. It was fitted to images that the
	// training held out. It is empty where nothing was fitted.
	Temperature []float64 `json:"temperature,omitempty"`

	// Augment says how the training changed its images at random: one of
	// recipe.Augmentations, or empty where that is not known.
	Augment string `json:"augment,omitempty"`

	Dataset string  `json:"dataset,omitempty"`
	Epoch   int     `json:"epoch"` // number of epochs trained
	Metrics Metrics `json:"metrics,omitempty"`
}

// Targets describes what the network predicts.
func (m Model) Targets() task.Targets {
	return task.Targets{Task: m.Task.Named(), Names: m.Names(), Shape: m.TargetShape, Mean: m.ValueMean, Std: m.ValueStd}
}

// Answering returns m with the task, names and numbers of t, such as the Targets in the Info of
// the data set that a network of your own was trained on.
func (m Model) Answering(t task.Targets) Model {
	m.Task, m.Classes, m.Labels, m.Values, m.ValueMean, m.ValueStd, m.TargetShape = t.Task, nil, nil, nil, t.Mean, t.Std, t.Shape
	m.Temperature = nil
	switch t.Task.Named() {
	case task.Labels:
		m.Labels = t.Names
	case task.Values:
		m.Values = t.Names
	case task.Masks:
		m.Classes = t.Names
	default:
		m.Task, m.Classes = "", t.Names
	}
	return m
}

// Names returns the names of the outputs: of classes, labels or values.
func (m Model) Names() []string {
	switch m.Task.Named() {
	case task.Labels:
		return m.Labels
	case task.Values:
		return m.Values
	}
	return m.Classes
}

// Metrics are numbers by name, such as test_accuracy. In JSON, NaN is null and the infinities
// are the strings "+Inf" and "-Inf", as of a Number.
type Metrics map[string]float64

// MarshalJSON implements json.Marshaler.
func (m Metrics) MarshalJSON() ([]byte, error) {
	values := make(map[string]json.RawMessage, len(m))
	for name, v := range m {
		values[name] = number.Append(nil, v, 64)
	}
	return json.Marshal(values)
}

// UnmarshalJSON implements json.Unmarshaler.
func (m *Metrics) UnmarshalJSON(b []byte) error {
	var values map[string]json.RawMessage
	if err := json.Unmarshal(b, &values); err != nil {
		return err
	}
	*m = make(Metrics, len(values))
	for name, text := range values {
		v, err := number.Parse(text)
		if err != nil {
			return fmt.Errorf("metric %q: %w", name, err)
		}
		(*m)[name] = v
	}
	return nil
}

// metadataKey is the key of the Model, as JSON, in a model file's metadata.
const metadataKey = "residual"

// SaveModel atomically writes the weights and m into one safetensors file. Empty versions,
// scale and interpolation are written as the defaults that they stand for.
func SaveModel(path string, m Model, state []tensor.Named) error {
	return SaveModelAs(path, m, state, nil, nil)
}

// SaveModelAs is SaveModel with types for some of the tensors, as in safetensors.WriteAs, and with
// more metadata.
func SaveModelAs(path string, m Model, state []tensor.Named, types, more map[string]string) error {
	metadata, err := m.Metadata()
	if err != nil {
		return fmt.Errorf("%s was not written: %w", path, err)
	}
	maps.Copy(metadata, more)
	metadata["format"] = "pt" // the mark by which PyTorch's readers recognise the layout
	return WriteFile(path, func(w io.Writer) error { return safetensors.WriteAs(w, state, types, metadata) })
}

// Metadata returns the description of the model for the metadata of a file of any format.
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
	text, err := number.Marshal(m)
	if err != nil {
		return nil, err
	}
	return map[string]string{metadataKey: string(text)}, nil
}

// LoadModel opens a model file and reads its description. The caller reads the weights
// from the File and closes it. Path may also be a run folder; see FindModel. Unknown fields, as from a later version, are ignored.
func LoadModel(path string) (Model, *safetensors.File, error) {
	path, err := FindModel(path)
	if err != nil {
		return Model{}, nil, err
	}
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
// errors. Closing the File does not close r.
func ReadModel(r io.ReaderAt, size int64, name string) (Model, *safetensors.File, error) {
	f, err := safetensors.Read(r, size, name)
	if err != nil {
		return Model{}, nil, err
	}
	m, err := describe(f, name)
	return m, f, err
}

// describe reads the description in a model file.
func describe(f *safetensors.File, name string) (Model, error) {
	m, err := ModelIn(f.Metadata())
	if err != nil {
		return Model{}, fmt.Errorf("%s: not a Residual model: %w; give a file that residual train wrote, or make a model of weights with residual import", name, err)
	}
	return m, nil
}

// ErrNoModel is the error of ModelIn if the metadata contains no description of a model, as in
// files of other programs.
var ErrNoModel = errors.New("its metadata has no entry \"" + metadataKey + "\", so its architecture and classes are not known")

// ModelIn reads a description that Model.Metadata made from a file's metadata.
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

// resolved returns m with the defaults of Input filled in.
func (m Model) resolved() Model {
	m.Input = prepare.Resolved(m.Input)
	return m
}

// check limits every number, so that code which builds a network or an image from a file's
// description can rely on them.
func (m Model) check() error {
	switch {
	case m.Architecture == "":
		return fmt.Errorf("it names no architecture")
	case m.Task.Named() != task.Classes:
		if err := m.Targets().Check(); err != nil {
			return err
		}
	case len(m.Classes) == 0:
		return fmt.Errorf("it names no classes")
	}
	if m.Epoch < 0 {
		return fmt.Errorf("epoch %d", m.Epoch)
	}
	if err := m.checkTemperature(); err != nil {
		return err
	}
	const maxStages, maxBlocks = 16, 1000
	if n := len(m.Blocks); n > maxStages {
		return fmt.Errorf("%d stages of blocks, where at most %d are possible", n, maxStages)
	}
	for i, n := range m.Blocks {
		if n < 1 || n > maxBlocks {
			return fmt.Errorf("%d blocks in stage %d, where 1 to %d are possible", n, i+1, maxBlocks)
		}
	}
	return prepare.Check(m.Input)
}

// checkTemperature bounds the temperatures, which logits are divided by.
func (m Model) checkTemperature() error {
	want := 0
	switch m.Task.Named() {
	case task.Classes:
		want = 1
	case task.Labels:
		want = len(m.Labels)
	}
	if n := len(m.Temperature); n > 0 && n != want {
		return fmt.Errorf("%d temperatures, where a model of %s has %d", n, m.Task.Named(), want)
	}
	for _, t := range m.Temperature {
		if !(t >= 1e-3 && t <= 1e3) {
			return fmt.Errorf("a temperature of %v, where 0.001 to 1000 are possible", t)
		}
	}
	return nil
}
