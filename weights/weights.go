// Package weights opens files of named tensors by what they hold, whatever they are
// called: safetensors, checkpoints of torch.save, either also as shards with an index,
// NumPy's archives and ONNX graphs. Each format is read by the package of its name.
package weights

import (
	"encoding/binary"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/elements"
	"github.com/residual-ml/residual/weights/npz"
	"github.com/residual-ml/residual/weights/onnx"
	"github.com/residual-ml/residual/weights/pth"
	"github.com/residual-ml/residual/weights/safetensors"
)

// Format is a kind of file.
type Format string

const (
	Safetensors Format = "safetensors"
	PyTorch     Format = "pth"
	NumPy       Format = "npz"
	ONNX        Format = "onnx"
)

// File is an opened file of weights. Its methods may be called from several
// goroutines at once, except Close.
type File struct {
	Path     string
	Format   Format
	Metadata map[string]string // of safetensors and ONNX files; nil otherwise
	// Prefix is what all names of a checkpoint had in front, such as module., and
	// Names leaves out.
	Prefix string
	// Key is where in a checkpoint the state dict was, if not at its top, and PassedOver
	// where others are.
	Key        string
	PassedOver []string
	// Settings are the plain values of a checkpoint beside its state dict (see
	// pth.File.Settings); nil otherwise.
	Settings map[string]any

	reader
}

// reader is what the formats have in common.
type reader interface {
	// Names returns the names of the tensors in the order of the file.
	Names() []string
	// Info returns the type a tensor is stored in, in the words of package elements,
	// and its shape. Of ONNX files it is the type the tensor is read as.
	Info(name string) (dtype string, shape tensor.Shape, ok bool)
	// Tensor reads one tensor, as elements.Decode converts it: numbers with a fraction
	// become Float32, integers and booleans Int64.
	Tensor(name string) (*tensor.Tensor, error)
	// Tensors reads all tensors, by name.
	Tensors() (map[string]*tensor.Tensor, error)
	Close() error
}

// Open opens the file at path, or that in the folder at path (see Locate), and reads
// its table of tensors. The caller closes the File. Of an ONNX graph the tensors are its
// initialisers; what the graph means is for package exchange to say.
func Open(path string) (*File, error) {
	path, err := Locate(path)
	if err != nil {
		return nil, err
	}
	if isIndex(path) {
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
		f.reader, f.Metadata = newInitialisers(path, m), m.Metadata
	}
	return f, nil
}

// Detect tells the format of the file at path by its first bytes, and of a zip
// archive by its entries; that of an index is the one of its first shard. The error names
// the file.
func Detect(path string) (Format, error) {
	if isIndex(path) {
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

// DetectIn is Detect for the size bytes in file; path stands for it in errors.
func DetectIn(file io.ReaderAt, size int64, path string) (Format, error) {
	head := make([]byte, min(size, 64))
	if err := elements.ReadFull(file, head, 0); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	// First, because the length of a safetensors header may be written like the
	// beginning of anything else, while theirs is no length that a file could have.
	if isSafetensors(head, size) {
		return Safetensors, nil
	}
	if what, ok := elements.Foreign(head); ok {
		return "", fmt.Errorf("%s: %s", path, what)
	}
	switch text := string(head); {
	case strings.HasPrefix(text, "PK"):
		return inZip(file, size), nil
	case strings.HasPrefix(text, "\x80"):
		return PyTorch, nil // a pickle, of the format before PyTorch 1.6 or none that is read
	case len(text) > 8 && text[8] == '{': // cut short, as its reader says
		return Safetensors, nil
	case strings.HasPrefix(text, "\x08") || strings.EqualFold(filepath.Ext(path), ".onnx"): // ir_version, a file's first field
		return ONNX, nil
	}
	return "", fmt.Errorf("%s: begins like no safetensors, .pth, .npz or .onnx file; copy or download it again", path)
}

// isSafetensors tells a file by the length of its header and the header's first byte.
func isSafetensors(head []byte, size int64) bool {
	return len(head) > 8 && head[8] == '{' && binary.LittleEndian.Uint64(head) <= uint64(size-8)
}

// inZip tells NumPy's archives, which hold arrays alone, from PyTorch's. What is
// wrong with the archive is for its reader to say.
func inZip(r io.ReaderAt, size int64) Format {
	entries, err := elements.ReadZip(r, size)
	for _, e := range entries {
		if err == nil && strings.HasSuffix(e.Name, ".npy") {
			return NumPy
		}
	}
	return PyTorch
}
