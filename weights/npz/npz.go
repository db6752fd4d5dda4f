// Package npz reads and writes tensors as NumPy's numpy.savez does: a zip archive with
// an array file NAME.npy for every name, which numpy.load opens. The array format is
// described at
// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html.
//
// Open returns a File, whose Tensor reads one array and Tensors all of them; Write
// writes an archive. See the Example.
//
// Files are untrusted: the reader accepts only uncompressed arrays of numbers, each
// with exactly as many bytes as its shape requires. Arrays of Python objects, which
// are pickles, are refused.
package npz

import (
	"fmt"
	"io"
	"strings"

	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/elements"
)

const (
	magic  = "\x93NUMPY"
	suffix = ".npy"
)

// File is an opened archive of arrays. Its methods, except Close, are safe for
// concurrent use.
type File struct {
	name   string
	r      io.ReaderAt
	closer io.Closer
	names  []string
	arrays map[string]array
}

// Open opens the file at path and checks the headers of its arrays; Tensor reads their
// elements. The caller closes the File.
func Open(path string) (*File, error) {
	osFile, size, err := elements.OpenFile(path, ".npz")
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

// Read opens an archive in the size bytes of r and checks the headers of its arrays.
// name stands for the file in errors. Close does not close r.
func Read(r io.ReaderAt, size int64, name string) (*File, error) {
	entries, err := elements.ReadZip(r, size)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	f := &File{name: name, r: r, arrays: make(map[string]array, len(entries))}
	for _, e := range entries {
		key, ok := strings.CutSuffix(e.Name, suffix)
		if !ok {
			return nil, fmt.Errorf("%s: entry %s: is no array, its name does not end in %s; %s", name, elements.Quote(e.Name), suffix, damaged)
		}
		a, err := readHeader(r, e)
		if err != nil {
			return nil, fmt.Errorf("%s: array %s: %w", name, elements.Quote(key), err)
		}
		f.names = append(f.names, key)
		f.arrays[key] = a
	}
	return f, nil
}

// Close closes the file if Open opened it.
func (f *File) Close() error {
	if f.closer == nil {
		return nil
	}
	return f.closer.Close()
}

// Names returns the names of the arrays in the order of the archive.
func (f *File) Names() []string { return append([]string(nil), f.names...) }

// Info returns the stored type of an array, by package elements' names for types (F32,
// I64 ...), and its shape.
func (f *File) Info(name string) (dtype string, shape tensor.Shape, ok bool) {
	a, ok := f.arrays[name]
	if !ok {
		return "", nil, false
	}
	return a.dtype, a.shape.Clone(), true
}

// Tensor reads one array, in row-major order even where the file uses Fortran order, and
// converts it as elements.Decode does: floating-point types become Float32, integers and
// booleans Int64.
func (f *File) Tensor(name string) (*tensor.Tensor, error) {
	a, ok := f.arrays[name]
	if !ok {
		return nil, fmt.Errorf("%s: holds no array %s; its %d arrays belong to another architecture or use other names",
			f.name, elements.Quote(name), len(f.names))
	}
	t, err := f.decode(a)
	if err != nil {
		return nil, fmt.Errorf("%s: array %s: %w", f.name, elements.Quote(name), err)
	}
	return t, nil
}

// Tensors reads all arrays, by name.
func (f *File) Tensors() (map[string]*tensor.Tensor, error) {
	return elements.All(f.names, f.Tensor)
}

func (f *File) decode(a array) (*tensor.Tensor, error) {
	at := a.at
	fill := func(piece []byte) error {
		err := elements.ReadFull(f.r, piece, at)
		at += int64(len(piece))
		return err
	}
	if a.fortran && len(a.shape) > 1 {
		encoded := make([]byte, int64(a.shape.Numel())*a.size)
		if err := elements.ReadFull(f.r, encoded, at); err != nil {
			return nil, err
		}
		stride, next := make([]int64, len(a.shape)), int64(1)
		for i, d := range a.shape {
			stride[i] = next
			next *= int64(d)
		}
		fill = elements.Gather(encoded, a.shape, stride, a.size)
	}
	if a.bigEndian {
		fill = elements.Swap(fill, a.size)
	}
	return elements.Decode(a.dtype, a.shape, fill)
}
