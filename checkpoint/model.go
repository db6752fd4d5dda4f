package checkpoint

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/safetensors"
)

// Model describes a file of weights: everything that is needed to use it.
type Model struct {
	Architecture string   `json:"architecture"`     // a name in the registry of models
	Blocks       []int    `json:"blocks,omitempty"` // blocks in each stage, where they differ from the architecture's own
	Classes      []string `json:"classes"`          // names in the order of the logits

	// The input is Channels x Height x Width. A height and width of 0 allow any size.
	Channels int `json:"channels"`
	Height   int `json:"height"`
	Width    int `json:"width"`

	Preprocess Preprocess `json:"preprocess"`

	// Versions of the program that made the file; SaveModel fills them in when they are empty.
	Residual string `json:"residual"`
	Go       string `json:"go"`

	// Output names the output of an ONNX graph with the logits, where the graph has several.
	Output string `json:"output,omitempty"`

	Dataset string  `json:"dataset,omitempty"`
	Epoch   int     `json:"epoch"` // number of epochs trained
	Metrics Metrics `json:"metrics,omitempty"`
}

// Preprocess turns a decoded image of bytes into the model's input: grey, to the
// native size, both sides to Resize and from there to the model's Height x Width, times
// Scale, less Mean, over Std. With ResizeShorter it is torchvision's preset
// ImageClassification, to the bit: resize, cut out the middle of the model's
// Height x Width, normalise.
type Preprocess struct {
	// The size of the training's pictures before they were resized: an image of
	// another size is brought to it first, so that it is as sharp as they were.
	// 0 leaves it out.
	NativeHeight int `json:"native_height,omitempty"`
	NativeWidth  int `json:"native_width,omitempty"`

	Resize        int       `json:"resize"`                   // pixels of both sides, 0 leaves them
	ResizeShorter int       `json:"resize_shorter,omitempty"` // pixels of the shorter side, in place of the native size and Resize
	Interpolation string    `json:"interpolation"`            // one of Interpolations, empty means bilinear; to the native size it is bilinear
	Scale         float64   `json:"scale"`                    // of a byte, 0 means 1/255
	Mean          []float64 `json:"mean,omitempty"`
	Std           []float64 `json:"std,omitempty"`
	Grey          bool      `json:"grey"`          // colours become one channel
	BGR           bool      `json:"bgr,omitempty"` // the channels are blue, green and red, in Mean and Std too
}

// Interpolations lists the filters of Pillow with which images can be resized.
func Interpolations() []string {
	return []string{"bilinear", "bicubic", "lanczos", "hamming", "box", "nearest"}
}

// Preparation describes in words how images become the model's input.
func (m Model) Preparation() string {
	p := m.Preprocess
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	if p.Grey {
		add("grey")
	}
	if n := p.NativeHeight; n > 0 && p.NativeWidth > 0 && (n != m.Height || p.NativeWidth != m.Width) {
		add("both sides resized to %dx%d", p.NativeWidth, n)
	}
	by := "by " + cmp.Or(p.Interpolation, "bilinear") + " interpolation"
	switch {
	case p.ResizeShorter > 0:
		add("the shorter side resized to %d pixels %s", p.ResizeShorter, by)
		add("the middle of %dx%d cut out", m.Width, m.Height)
	case m.Width > 0 && m.Height > 0:
		add("both sides resized to %dx%d %s", m.Width, m.Height, by)
	case p.Resize > 0:
		add("both sides resized to %dx%d %s", p.Resize, p.Resize, by)
	default:
		add("of any size")
	}
	if p.BGR {
		add("blue, green, red")
	}
	if p.Scale != 0 && p.Scale != 1.0/255 {
		add("bytes times %.6g", p.Scale)
	} else {
		add("bytes over 255")
	}
	if len(p.Mean) > 0 {
		add("less the mean %v", p.Mean)
	}
	if len(p.Std) > 0 {
		add("over the std %v", p.Std)
	}
	return strings.Join(parts, ", ")
}

// Metrics are numbers by name, such as test_accuracy. In JSON, which cannot represent
// them as numbers, NaN and the infinities are the strings NaN, +Inf and -Inf.
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

// appendNumber appends a JSON number, or a string where JSON has no such number.
func appendNumber(b []byte, v float64, bits int) []byte {
	text := strconv.FormatFloat(v, 'g', -1, bits)
	if math.IsNaN(v) || math.IsInf(v, 0) {
		text = strconv.Quote(text)
	}
	return append(b, text...)
}

// metadataKey is the key of the Model, as JSON, in a model file's metadata.
const metadataKey = "residual"

// SaveModel atomically writes the weights and m into one safetensors file. Empty versions,
// scale and interpolation are written as the defaults that they stand for.
func SaveModel(path string, m Model, state []tensor.Named) error {
	metadata, err := m.Metadata()
	if err != nil {
		return fmt.Errorf("%s was not written: %w", path, err)
	}
	metadata["format"] = "pt" // the mark by which PyTorch's readers recognise the layout
	return WriteFile(path, func(w io.Writer) error { return safetensors.Write(w, state, metadata) })
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
	text, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	return map[string]string{metadataKey: string(text)}, nil
}

// LoadModel opens a model file and reads its description. The caller reads the weights
// from the File and closes it. Unknown fields, as from a later version, are ignored.
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
// errors. Closing the File does not close r.
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

// ErrNoModel is the error of ModelIn where the metadata contain no description of a model,
// as in files of other programs.
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

func (m Model) resolved() Model {
	if m.Preprocess.Scale == 0 {
		m.Preprocess.Scale = 1.0 / 255
	}
	if m.Preprocess.Interpolation == "" {
		m.Preprocess.Interpolation = "bilinear"
	}
	return m
}

// check limits every number, so that code that builds a network or an image from a file's
// description can rely on them.
func (m Model) check() error {
	const most = 1 << 16
	p := m.Preprocess
	finite := func(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
	switch {
	case m.Architecture == "":
		return fmt.Errorf("it names no architecture")
	case len(m.Classes) == 0:
		return fmt.Errorf("it names no classes")
	case m.Channels < 1 || m.Channels > most:
		return fmt.Errorf("%d channels, where 1 to %d are possible", m.Channels, most)
	case m.Height < 0 || m.Height > most || m.Width < 0 || m.Width > most:
		return fmt.Errorf("an input of %d x %d pixels, where each side may have 0 (any) to %d", m.Height, m.Width, most)
	case p.Resize < 0 || p.Resize > most:
		return fmt.Errorf("resize to %d pixels, where 0 (none) to %d are possible", p.Resize, most)
	case p.NativeHeight < 0 || p.NativeHeight > most || p.NativeWidth < 0 || p.NativeWidth > most:
		return fmt.Errorf("pictures of %d x %d pixels, where each side may have 0 (any) to %d", p.NativeHeight, p.NativeWidth, most)
	case !finite(p.Scale):
		return fmt.Errorf("a scale of %v", p.Scale)
	case p.Grey && m.Channels != 1:
		return fmt.Errorf("grey images for %d channels", m.Channels)
	case p.BGR && m.Channels != 3:
		return fmt.Errorf("blue, green and red for %d channels", m.Channels)
	case !slices.Contains(Interpolations(), p.Interpolation):
		return fmt.Errorf("interpolation %q, where %s are possible", p.Interpolation, strings.Join(Interpolations(), ", "))
	case m.Epoch < 0:
		return fmt.Errorf("epoch %d", m.Epoch)
	}
	if p.ResizeShorter != 0 {
		if err := m.checkShorter(); err != nil {
			return err
		}
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
	for name, values := range map[string][]float64{"mean": p.Mean, "std": p.Std} {
		if n := len(values); n != 0 && n != m.Channels {
			return fmt.Errorf("a %s of %d values for %d channels", name, n, m.Channels)
		}
		for _, v := range values {
			if !finite(v) || name == "std" && v <= 0 {
				return fmt.Errorf("a %s of %v", name, v)
			}
		}
	}
	return nil
}

// checkShorter is check for the preparation with ResizeShorter.
func (m Model) checkShorter() error {
	p := m.Preprocess
	switch {
	case p.ResizeShorter < 0 || p.ResizeShorter > 1<<16:
		return fmt.Errorf("a shorter side of %d pixels, where 1 to %d are possible", p.ResizeShorter, 1<<16)
	case p.Resize != 0 || p.NativeHeight != 0 || p.NativeWidth != 0:
		return fmt.Errorf("images resized by their shorter side, to %d, and by both sides too", p.ResizeShorter)
	case m.Height < 1 || m.Height != m.Width:
		return fmt.Errorf("a middle of %d x %d pixels, where a square is cut out", m.Height, m.Width)
	}
	return nil
}
