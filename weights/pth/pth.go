// Package pth reads the checkpoints that PyTorch's torch.save writes (.pth, .pt):
// a pickle of a state dict, and the storages of its tensors, in a zip archive or in
// the format before PyTorch 1.6
// (https://docs.pytorch.org/docs/stable/notes/serialization.html).
//
// Open returns a File, whose Names lists the tensors and Tensors reads them all. See the
// Example.
//
// A pickle is a program, and this package does not run it as Python would. It knows the
// opcodes that write containers, plain values and tensors, and the names of the functions
// that stand for tensors, and implements those itself. It refuses every other opcode and
// name with an error that says which and where. Files are untrusted: every size is checked
// against the bytes that are there before memory is allocated for it.
//
// The package reads state dicts, also inside a dict under the usual keys (model,
// state_dict, model_state_dict, net, and before them the averaged model_ema and
// state_dict_ema). Everything else in that dict, such as an epoch or the state of an
// optimiser, is skipped, except for Settings. Whole models saved as objects are refused.
package pth

import (
	"fmt"
	"io"
	"slices"

	"github.com/residual-ml/residual/internal/filekind"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/elements"
)

// File is an opened checkpoint. Its methods, except Close, are safe for concurrent use.
type File struct {
	name      string
	r         io.ReaderAt
	closer    io.Closer
	bigEndian bool
	found
	entries []entry
	index   map[string]int // of entries, by name
}

// Open opens the file at path and reads its table of tensors; Tensor reads their elements.
// The caller closes the File.
func Open(path string) (*File, error) {
	osFile, size, err := elements.OpenFile(path, ".pth or .pt")
	if err != nil {
		return nil, err
	}
	f, err := Read(osFile, size, path)
	if err != nil {
		osFile.Close()
		return nil, err
	}
	f.closer = osFile
	return f, nil
}

// Read opens a checkpoint in the size bytes of r and reads its table of tensors. name
// stands for the file in errors. Close does not close r.
func Read(r io.ReaderAt, size int64, name string) (*File, error) {
	f := &File{name: name, r: r}
	if err := f.read(size); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return f, nil
}

func (f *File) read(size int64) error {
	head := make([]byte, max(min(size, 64), 0))
	if err := elements.ReadFull(f.r, head, 0); err != nil {
		return err
	}
	var value any
	var err error
	switch {
	case filekind.Of(head) == filekind.Zip:
		value, f.bigEndian, err = readZip(f.r, size)
	case len(head) >= len(legacyMagic) && string(head[:len(legacyMagic)]) == legacyMagic:
		value, err = readLegacy(f.r, size)
	default:
		return fmt.Errorf("%s", foreign(head, size))
	}
	if err != nil {
		return err
	}
	if f.found, f.entries, err = stateDict(value); err != nil {
		return err
	}
	f.index = make(map[string]int, len(f.entries))
	for i, e := range f.entries {
		f.index[e.name] = i
	}
	return identify(f.entries, size)
}

// Close closes the file if Open opened it.
func (f *File) Close() error {
	if f.closer == nil {
		return nil
	}
	return f.closer.Close()
}

// Found says where the tensors were: the key of the dict around the state dict, empty when
// there is none, and the prefix (module., _orig_mod., model. or several of them) that all
// names share and that Names leaves out.
func (f *File) Found() (key, prefix string) { return f.key, f.prefix }

// PassedOver lists the keys of other state dicts in the file, such as the raw weights
// beside their moving averages.
func (f *File) PassedOver() []string { return f.others }

// Names returns the names of the tensors in the order of the state dict.
func (f *File) Names() []string {
	names := make([]string, len(f.entries))
	for i, e := range f.entries {
		names[i] = e.name
	}
	return names
}

// Info returns the stored type of a tensor, by package elements' names for types (F32,
// BF16, I64 ...), and its shape.
func (f *File) Info(name string) (dtype string, shape tensor.Shape, ok bool) {
	i, ok := f.index[name]
	if !ok {
		return "", nil, false
	}
	v := f.entries[i].view
	return v.dtype, v.shape.Clone(), true
}

// Tensor reads one tensor, in row-major order whatever its strides, and converts it as
// elements.Decode does: floating-point types become Float32, integers and booleans Int64.
func (f *File) Tensor(name string) (*tensor.Tensor, error) {
	i, ok := f.index[name]
	if !ok {
		return nil, fmt.Errorf("%s: holds no tensor %s; its %d tensors belong to another architecture or use other names",
			f.name, elements.Quote(name), len(f.entries))
	}
	t, err := f.decode(f.entries[i].view)
	if err != nil {
		return nil, fmt.Errorf("%s: tensor %s: %w", f.name, elements.Quote(name), err)
	}
	return t, nil
}

// Tensors reads all tensors by name, as a state dict. Names that share their elements in
// the file (tied weights) get the same Tensor.
func (f *File) Tensors() (map[string]*tensor.Tensor, error) {
	var first []string
	for i, e := range f.entries {
		if e.same == i {
			first = append(first, e.name)
		}
	}
	all, err := elements.All(first, f.Tensor)
	if err != nil {
		return nil, err
	}
	for _, e := range f.entries {
		all[e.name] = all[f.entries[e.same].name]
	}
	return all, nil
}

func (f *File) decode(v *view) (*tensor.Tensor, error) {
	at := v.storage.at + v.first*v.size
	fill := func(piece []byte) error {
		err := elements.ReadFull(f.r, piece, at)
		at += int64(len(piece))
		return err
	}
	if !slices.Contains(elements.Types(), v.dtype) { // fails before its elements are gathered
		return elements.Decode(v.dtype, tensor.Shape{0}, fill)
	}
	if !v.contiguous() {
		span := make([]byte, (v.after-v.first)*v.size)
		if err := elements.ReadFull(f.r, span, at); err != nil {
			return nil, err
		}
		fill = elements.Gather(span, v.shape, v.stride, v.size)
	}
	if f.bigEndian {
		fill = elements.Swap(fill, v.size)
	}
	return elements.Decode(v.dtype, v.shape, fill)
}
