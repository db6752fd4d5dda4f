package onnx

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/residual-ml/residual/internal/regular"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/elements"
)

// outside reads the weights that are in other files in the model's folder, as external
// data: https://onnx.ai/onnx/repo-docs/ExternalData.html. Nothing outside the folder can
// be reached, not even by links. The zero value has no folder.
type outside struct {
	root *os.Root
	left map[string]int64 // bytes of each file that no weight has used

	name string // name of the open file, the one used last
	file *os.File
	size int64
}

func (o *outside) close() {
	if o.file != nil {
		o.file.Close()
	}
	if o.root != nil {
		o.root.Close()
	}
}

// open makes o.file the file with that name.
func (o *outside) open(name string) error {
	if o.file != nil && o.name == name {
		return nil
	}
	if o.file != nil {
		o.file.Close()
		o.file = nil
	}
	path := filepath.FromSlash(name)
	file, err := regular.OpenIn(o.root, path)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return err
	}
	o.file = file
	o.name, o.size = name, info.Size()
	if o.left == nil {
		o.left = map[string]int64{}
	}
	if _, ok := o.left[name]; !ok {
		o.left[name] = o.size
	}
	return nil
}

// place says where the elements of a tensor are.
type place struct {
	location       string
	offset, length int64 // a length of -1 means that none was given
}

// readPlace parses the StringStringEntryProtos of a tensor.
func readPlace(entries [][]byte) (p place, err error) {
	p.length = -1
	set := map[string]bool{}
	for _, message := range entries {
		var key, value string
		var seen once
		err := fields(message, func(f field) error {
			if err := seen.check(f); err != nil {
				return err
			}
			switch f.number {
			case 1:
				return f.text(&key)
			case 2:
				return f.text(&value)
			}
			return nil
		})
		if err != nil {
			return p, err
		}
		if set[key] {
			return p, fmt.Errorf("its external data says %s twice; %s", quote(key), damaged)
		}
		set[key] = true
		number := func(to *int64) error {
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil || n < 0 {
				return fmt.Errorf("its external data has the %s %s; %s", key, quote(value), damaged)
			}
			*to = n
			return nil
		}
		switch key {
		case "location":
			p.location = value
		case "offset":
			err = number(&p.offset)
		case "length":
			err = number(&p.length)
		}
		if err != nil {
			return p, err
		}
	}
	if p.location == "" {
		return p, fmt.Errorf("its external data names no file; %s", damaged)
	}
	return p, nil
}

// read reads a tensor of n elements. It checks the allocation against the file's size, for
// each tensor and for all together, since tensors may not share bytes.
func (o *outside) read(entries [][]byte, kind ElementType, shape tensor.Shape, n int) (*tensor.Tensor, error) {
	p, err := readPlace(entries)
	if err != nil {
		return nil, err
	}
	if o == nil || o.root == nil {
		return nil, fmt.Errorf("lies outside of the file, as external data in %s, which is not followed here; export with the weights inside (external_data=False)", quote(p.location))
	}
	size := int64(n) * int64(kinds[kind].size())
	if p.length >= 0 && p.length != size {
		return nil, fmt.Errorf("shape %v of %v takes %d bytes, and its external data has %d; %s", shape, kind, size, p.length, damaged)
	}
	if err := o.open(p.location); err != nil {
		return nil, fmt.Errorf("its external data lies in %s, in the model's folder: %w; put that file beside the model, "+
			"or export with the weights inside (external_data=False)", quote(p.location), err)
	}
	if p.offset > o.size || size > o.size-p.offset {
		return nil, fmt.Errorf("takes %d bytes at %d of %s, which has %d; copy or download that file again", size, p.offset, quote(p.location), o.size)
	}
	if o.left[p.location] -= size; o.left[p.location] < 0 {
		return nil, fmt.Errorf("shares bytes of %s with another tensor; %s", quote(p.location), damaged)
	}
	at := p.offset
	t, err := elements.Decode(kinds[kind].dtype, shape, func(piece []byte) error {
		err := elements.ReadFull(o.file, piece, at)
		at += int64(len(piece))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", quote(p.location), err)
	}
	return t, nil
}

// external collects the fields that say where a tensor is.
func (f field) external(entries *[][]byte, outside *bool) error {
	if f.number == 14 {
		var location int64
		err := f.int(&location)
		*outside = location != 0
		return err
	}
	var message []byte
	if err := f.message(&message); err != nil {
		return err
	}
	if *entries = append(*entries, message); len(*entries) > maxAttributes {
		return fmt.Errorf("has more than %d entries of external data; %s", maxAttributes, damaged)
	}
	return nil
}
