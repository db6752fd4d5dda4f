// Package safetensors reads and writes the safetensors format: eight bytes of
// little-endian header length, a JSON header with every tensor's type, shape and
// position, and the elements. The format is described at
// https://github.com/huggingface/safetensors.
//
// Open returns a File, whose Tensor reads one tensor, Tensors all of them, and Metadata
// the text metadata; Write writes a file. See the Example.
//
// Files are untrusted: the reader accepts a header only when every byte of the data
// belongs to exactly one tensor, and allocates memory in proportion to the bytes that
// are there, whatever the header says.
package safetensors

import (
	"fmt"
	"io"
	"maps"

	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/elements"
)

// File is an opened safetensors file. Its methods, except Close, are safe for
// concurrent use.
type File struct {
	name   string
	r      io.ReaderAt
	closer io.Closer
	header header
	start  int64 // offset of the data in the file
}

// Open opens the file at path and checks its header; Tensor reads elements directly into
// a tensor's memory, which is faster than copying from a memory mapping
// (docs/interchange.md). The file may be replaced by a rename meanwhile; if it is
// truncated, Tensor returns an error. The caller closes the File.
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

// Read opens a file in the size bytes of r and checks its header. name stands for the
// file in errors. Close does not close r.
func Read(r io.ReaderAt, size int64, name string) (*File, error) {
	h, start, err := readHeader(r, size)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &File{name: name, r: r, header: h, start: start}, nil
}

// Close closes the file if Open opened it.
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

// Info returns the stored type of a tensor, by the format's names for types (F32, BF16,
// I64 ...), and its shape.
func (f *File) Info(name string) (dtype string, shape tensor.Shape, ok bool) {
	i, ok := f.header.index[name]
	if !ok {
		return "", nil, false
	}
	e := &f.header.entries[i]
	return e.dtype, e.shape.Clone(), true
}

// Tensor reads one tensor. F32 is copied, and F16, BF16 and F64 are converted to
// Float32: the first two exactly, F64 rounded to nearest, and to infinity when it is
// out of range. Integers of every size and BOOL (false is 0, true 1) become Int64. The
// remaining types of the format (F8 and smaller, C64) return an error.
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

// Tensors reads all tensors by name, as a state dict.
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
