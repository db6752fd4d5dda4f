package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/residual-ml/residual/report"
)

// spread is the median and the range of some values.
type spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// spreadOf requires at least one value.
func spreadOf(values []float64) spread {
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	return spread{Median: (v[(n-1)/2] + v[n/2]) / 2, Min: v[0], Max: v[n-1]}
}

func (s spread) text(format string) string {
	if s.Min == s.Max {
		return fmt.Sprintf(format, s.Median)
	}
	return fmt.Sprintf(format+" ("+format+" to "+format+")", s.Median, s.Min, s.Max)
}

func (u unit) text(v float64) string {
	switch {
	case u == memory:
		return report.Bytes(int64(v))
	case v < 10:
		return fmt.Sprintf("%.2f %s", v, u)
	case v < 1000:
		return fmt.Sprintf("%.1f %s", v, u)
	}
	return report.Count(int64(v+0.5)) + " " + string(u)
}

// setting is the contender's name without the program.
func (c contender) setting() string { return strings.TrimPrefix(c.name(), c.Program+" ") }

// cuda is the device of the rows for a GPU.
const cuda = "cuda"

// feedNone uses the same batch, already on the device, for every step.
const feedNone = "none"

// unit is what a row measures.
type unit string

const (
	perSecond unit = "images/s"
	millis    unit = "ms"
	seconds   unit = "s"
	memory    unit = "bytes"
	startTime unit = "ms to begin"
)

// of returns the value of a turn in u.
func (u unit) of(t turn, j job) float64 {
	switch u {
	case millis:
		return 1e3 * float64(j.Batch) / t.ImagesPerSecond
	case seconds:
		return t.Seconds
	case memory:
		return float64(t.PeakRSSBytes)
	case startTime:
		return 1e3 * t.Seconds
	}
	return t.ImagesPerSecond
}

// ratio compares Residual's value with another's. For speed and time it is how many times
// faster Residual is; for memory and start-up it is Residual's value as a fraction of the
// other's.
func (u unit) ratio(ours, theirs float64) float64 {
	if u == millis || u == seconds {
		return theirs / ours
	}
	return ours / theirs
}

// worse reports whether ratio a is worse for Residual than b.
func (u unit) worse(a, b float64) bool {
	if u == memory || u == startTime {
		return a > b
	}
	return a < b
}

// net is another network than the notes', with a name that both programs know.
type net struct {
	model string
	size  int
}

var (
	resnet18 = net{"resnet18", 224}
	resnet50 = net{"resnet50", 224}
	cifar56  = net{"cifar-resnet56", 32}
	resnet9  = net{"resnet9-32", 32}
)

// A turn is the result of one run of one program, in the JSON that all of them print.
type turn struct {
	ImagesPerSecond float64 `json:"images_per_second"` // median over the turn
	Fastest         float64 `json:"images_per_second_max"`
	PeakRSSBytes    int64   `json:"peak_rss_bytes"` // peak of the whole process; 0 where the system does not report it
	Seconds         float64 `json:"seconds"`        // duration of an epoch
	Threads         int     `json:"threads"`
	Precision       string  `json:"precision"`
	Kernels         string  `json:"kernels"` // Residual only
	Torch           string  `json:"torch"`   // PyTorch only

	// Settings is printed by residual train.
	Settings struct {
		Threads   int    `json:"threads"`
		Precision string `json:"precision"`
	} `json:"settings"`
	PeakMemoryBytes int64 `json:"peak_memory_bytes"`

	LoaderImagesPerSecond float64 `json:"loader_images_per_second"` // of residual bench --feed loader
	LoadMilliseconds      float64 `json:"load_milliseconds"`        // time to load a file of weights
}

// These programs take turns.
const (
	residual = "Residual"
	torch    = "PyTorch"
	onnx     = "ONNX Runtime"
	openvino = "OpenVINO"
)

// A contender is one program in one setting.
type contender struct {
	Program   string `json:"program"`
	Precision string `json:"precision"`         // fp32, bf16 or int8; for Residual also auto
	Layout    string `json:"layout,omitempty"`  // for PyTorch: channels_last, contiguous or frozen
	Compile   bool   `json:"compile,omitempty"` // use torch.compile
	Feed      string `json:"feed,omitempty"`    // for Residual: loader, photos or none; "" is memory

	CompileMode string `json:"compile_mode,omitempty"` // mode of torch.compile
	Capture     bool   `json:"capture,omitempty"`      // for PyTorch: capture the whole step as one CUDA graph

	Form    string `json:"form,omitempty"`    // of a quantised file: qdq or qoperator
	Streams int    `json:"streams,omitempty"` // for OpenVINO: requests that run at once; 0 is one
	Split   bool   `json:"split,omitempty"`   // for OpenVINO: a batch is shared out over the streams
}

// name identifies the setting within a row.
func (c contender) name() string {
	words := []string{c.Program, c.Precision}
	switch {
	case c.CompileMode != "":
		words = append(words, "compiled for "+c.CompileMode)
	case c.Compile:
		words = append(words, "compiled")
	case c.Layout != "":
		words = append(words, strings.ReplaceAll(c.Layout, "_", " "))
	}
	if c.Capture {
		words = append(words, "captured")
	}
	switch c.Form {
	case "qdq":
		words = append(words, "QDQ")
	case "qoperator":
		words = append(words, "QOperator")
	}
	switch {
	case c.Split:
		words = append(words, fmt.Sprintf("in %d parts at once", c.Streams))
	case c.Streams > 0:
		words = append(words, fmt.Sprintf("in %d requests at once", c.Streams))
	}
	switch c.Feed {
	case "":
	case feedNone:
		words = append(words, "with the batch on the device")
	default:
		words = append(words, "fed by the "+c.Feed)
	}
	return strings.Join(words, " ")
}

// A job is the work that the contenders do.
type job struct {
	Mode   string `json:"mode"`            // train, infer, epoch, load, weights or predict
	Model  string `json:"model,omitempty"` // empty: ResNet-18 of the notes
	Batch  int    `json:"batch"`
	Size   int    `json:"size"` // height and width of the images
	Warmup int    `json:"warmup,omitempty"`
	Repeat int    `json:"repeat,omitempty"`

	// For trainings on Fashion-MNIST.
	Epochs int `json:"epochs,omitempty"` // 0 is 1
	Train  int `json:"train_images,omitempty"`
	Test   int `json:"test_images,omitempty"`
}

// what describes the job briefly.
func (j job) what() string {
	if j.Model != "" {
		return fmt.Sprintf("%s %s, batch %d", j.Mode, j.Model, j.Batch)
	}
	return fmt.Sprintf("%s, batch %d", j.Mode, j.Batch)
}

// fashion is the data set of the recipe.
const fashion = "fashion-mnist"

// failure is the error of a program that failed.
type failure struct {
	command string
	err     error
	stderr  string
}

func (f *failure) Error() string { return fmt.Sprintf("%s: %v\n%s", f.command, f.err, f.stderr) }
