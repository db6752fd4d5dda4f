// Package safetensors reads and writes the safetensors format: eight bytes of
// little-endian header length, a JSON header that gives every tensor's type,
// shape and place, and the elements. The format is described at
// https://github.com/huggingface/safetensors.
//
// A file is untrusted: the reader accepts a header only when every byte of the
// data belongs to exactly one tensor, and allocates in proportion to the bytes
// that are there, whatever the header says.
package safetensors

import (
	"fmt"
	"io"
	"maps"

	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/elements"
)

// File is an opened safetensors file. Its methods may be called from several
// goroutines at once, except Close.
type File struct {
	name   string
	r      io.ReaderAt
	closer io.Closer
	header header
	start  int64 // of the data, in the file
}

// Open opens the file at path and checks its header; elements are read by Tensor, to
// where they stay: a mapping that they are copied from takes longer (docs/interchange.md).
// The file may be replaced meanwhile, as whoever saves properly does it; one that is cut
// short is an error of Tensor. The caller closes the File.
func Open(path string) (*File, error) {
	osFile, size, err := elements.OpenFile(path, ".safetensors")
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

// Read checks the header of the size bytes in r. The name stands for the file
// in errors. Close leaves r alone.
func Read(r io.ReaderAt, size int64, name string) (*File, error) {
	h, start, err := readHeader(r, size)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &File{name: name, r: r, header: h, start: start}, nil
}

// Close closes a file that Open opened.
func (f *File) Close() error {
	if f.closer == nil {
		return nil
	}
	return f.closer.Close()
}

// Names returns the names of the tensors in the order of the header.
func (f *File) Names() []string {
	names := make([]string, len(f.header.entries))
	for i, e := range f.header.entries {
		names[i] = e.name
	}
	return names
}

// Metadata returns a copy of the file's text metadata, nil when it has none.
func (f *File) Metadata() map[string]string { return maps.Clone(f.header.metadata) }

// Info returns the type a tensor is stored in, in the format's words (F32,
// BF16, I64 ...), and its shape.
func (f *File) Info(name string) (dtype string, shape tensor.Shape, ok bool) {
	i, ok := f.header.index[name]
	if !ok {
		return "", nil, false
	}
	e := &f.header.entries[i]
	return e.dtype, e.shape.Clone(), true
}

// Tensor reads one tensor. F32 comes as it is and F16, BF16 and F64 are
// converted to Float32: the first two exactly, F64 rounded to the nearest, to an
// infinity when it is out of range. Integers of every size and BOOL (false is 0,
// true 1) become Int64. The remaining types of the format (F8 and smaller, C64)
// give an error.
func (f *File) Tensor(name string) (*tensor.Tensor, error) {
	i, ok := f.header.index[name]
	if !ok {
		return nil, fmt.Errorf("%s: holds no tensor %s; its %d tensors belong to another architecture or use other names",
			f.name, elements.Quote(name), len(f.header.entries))
	}
	e := &f.header.entries[i]
	t, err := f.decode(e)
	if err != nil {
		return nil, fmt.Errorf("%s: tensor %s: %w", f.name, elements.Quote(name), err)
	}
	return t, nil
}

// Tensors reads all tensors, by name: what a state dict is loaded from.
func (f *File) Tensors() (map[string]*tensor.Tensor, error) {
	return elements.All(f.Names(), f.Tensor)
}

// decode reads the elements of e from the file in pieces.
func (f *File) decode(e *entry) (*tensor.Tensor, error) {
	at := f.start + e.begin
	return elements.Decode(e.dtype, e.shape, func(piece []byte) error {
		if err := elements.ReadFull(f.r, piece, at); err != nil {
			return err
		}
		at += int64(len(piece))
		return nil
	})
}

// Types returns the names of the format's types that Tensor can read, sorted.
func Types() []string { return elements.Types() }
