// Package weights opens files of named tensors and recognises their format by content,
// whatever their names: safetensors, checkpoints of torch.save, NumPy archives and ONNX
// graphs. Safetensors files and checkpoints may also be split into shards with an index.
// Each format has a package of its own below this one, which reads (and, except for
// checkpoints, writes) it.
//
// A first use: open a file, list its tensors, and read one.
//
//	f, err := weights.Open("resnet18.pth")
//	// ...
//	defer f.Close()
//	for _, name := range f.Names() {
//		dtype, shape, _ := f.Info(name)
//		fmt.Println(name, dtype, shape)
//	}
//	bias, err := f.Tensor("fc.bias")
//
// Open returns a File, Detect only the Format. Locate finds the weights in a folder, and
// Shards lists the files of an index.
package weights

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/residual-ml/residual/internal/filekind"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/elements"
	"github.com/residual-ml/residual/weights/npz"
	"github.com/residual-ml/residual/weights/onnx"
	"github.com/residual-ml/residual/weights/pth"
	"github.com/residual-ml/residual/weights/safetensors"
)

// Format is a file format.
type Format string

// The formats that Open can read.
const (
	Safetensors Format = "safetensors"
	PyTorch     Format = "pth" // torch.save
	NumPy       Format = "npz"
	ONNX        Format = "onnx"
)

// File is an opened file of weights. Its methods, except Close, are safe for concurrent
// use.
type File struct {
	Path     string
	Format   Format
	Metadata map[string]string // of safetensors and ONNX files; otherwise nil
	// Prefix is the prefix that all names of a checkpoint share, such as module., and that
	// Names leaves out.
	Prefix string
	// Key is the key of the state dict in a checkpoint, "" if it is at the top. PassedOver
	// lists the keys of other state dicts there.
	Key        string
	PassedOver []string
	// Settings holds the plain values stored beside a checkpoint's state dict (see
	// pth.File.Settings); nil for other formats.
	Settings map[string]any
	// Graph is the graph of an ONNX file; nil for other formats.
	Graph *onnx.Model

	reader
}

// reader is the interface that the formats have in common.
type reader interface {
	// Names returns the names of the tensors in the order of the file.
	Names() []string
	// Info returns the stored type, by package elements' names for types, and the shape
	// of a tensor. For ONNX files it is the type that Tensor returns.
	Info(name string) (dtype string, shape tensor.Shape, ok bool)
	// Tensor reads one tensor and converts it as elements.Decode does: floating-point types
	// become Float32, integers and booleans Int64.
	Tensor(name string) (*tensor.Tensor, error)
	// Tensors reads all tensors, by name.
	Tensors() (map[string]*tensor.Tensor, error)
	Close() error
}

// Open opens the file at path, or the weights in the folder at path (see Locate), and reads
// its table of tensors. The caller closes the File. The tensors of an ONNX graph are its
// initialisers; package exchange interprets the graph itself.
func Open(path string) (*File, error) {
	path, err := Locate(path)
	if err != nil {
		return nil, err
	}
	if IsIndex(path) {
		return openShards(path)
	}
	format, err := Detect(path)
	if err != nil {
		return nil, err
	}
	f := &File{Path: path, Format: format}
	switch format {
	case Safetensors:
		s, err := safetensors.Open(path)
		if err != nil {
			return nil, err
		}
		f.reader, f.Metadata = s, s.Metadata()
	case PyTorch:
		p, err := pth.Open(path)
		if err != nil {
			return nil, err
		}
		f.Key, f.Prefix = p.Found()
		f.PassedOver, f.Settings = p.PassedOver(), p.Settings()
		f.reader = p
	case NumPy:
		if f.reader, err = npz.Open(path); err != nil {
			return nil, err
		}
	case ONNX:
		m, err := onnx.Open(path)
		if err != nil {
			return nil, err
		}
		f.reader, f.Metadata, f.Graph = newInitialisers(path, m), m.Metadata, m
	}
	return f, nil
}

// Named is the format of a file that is to be written, by the ending of its name: ONNX for
// .onnx in any case, and Safetensors for every other.
func Named(path string) Format {
	if strings.EqualFold(filepath.Ext(path), ".onnx") {
		return ONNX
	}
	return Safetensors
}

// Detect recognises the format of the file at path by its content, whatever its name: by its
// first bytes, the entries of a zip archive or the fields of an ONNX graph. The format of an index is that of its first shard. An error names the
// file.
func Detect(path string) (Format, error) {
	if IsIndex(path) {
		f, err := openShards(path)
		if err != nil {
			return "", err
		}
		return f.Format, f.Close()
	}
	file, size, err := elements.OpenFile(path, ".safetensors, .pth, .npz or .onnx")
	if err != nil {
		return "", err
	}
	defer file.Close()
	return DetectIn(file, size, path)
}

// DetectIn is Detect for the size bytes of file; path stands for the file in errors.
func DetectIn(file io.ReaderAt, size int64, path string) (Format, error) {
	head := make([]byte, min(size, 64))
	if err := elements.ReadFull(file, head, 0); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	// Safetensors comes first, because the length of its header may look like the start of
	// any other format, while the other formats' first bytes are no length that fits the file.
	is, cut := elements.Safetensors(head, size)
	if is {
		return Safetensors, nil
	}
	if what, ok := elements.Foreign(head); ok {
		return "", fmt.Errorf("%s: %s", path, what)
	}
	switch kind := filekind.Of(head); {
	case kind == filekind.Zip:
		return inZip(file, size), nil
	case kind == filekind.Pickle:
		return PyTorch, nil // the format before PyTorch 1.6, or one that its reader refuses
	case cut: // which its reader reports
		return Safetensors, nil
	case onnx.Is(file, size):
		return ONNX, nil
	}
	return "", fmt.Errorf("%s: begins like no safetensors, .pth, .npz or .onnx file; copy or download it again", path)
}

// inZip tells NumPy's archives, which contain only arrays, from PyTorch's. It leaves errors
// in the archive to the format's reader.
func inZip(r io.ReaderAt, size int64) Format {
	entries, err := elements.ReadZip(r, size)
	for _, e := range entries {
		if err == nil && strings.HasSuffix(e.Name, ".npy") {
			return NumPy
		}
	}
	return PyTorch
}
