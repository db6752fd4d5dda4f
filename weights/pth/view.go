package pth

import (
	"fmt"
	"math"

	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/elements"
)

// maxDims is the largest number of dimensions of a tensor, as in PyTorch's iterators.
const maxDims = 64

// storageID parses a persistent id ('storage', type, key, location, numel). Files before
// PyTorch 1.6 have one entry more, which is None.
func storageID(id []any, length int) (*storage, error) {
	if len(id) != length || id[0] != "storage" {
		return nil, fmt.Errorf("the persistent id %s is no storage of %d entries; %s", kinds(id), length, damaged)
	}
	g, ok := id[1].(global)
	key, ok2 := id[2].(string)
	numel, ok3 := id[4].(int64)
	if !ok || g.role != roleStorage || !ok2 || !ok3 {
		return nil, fmt.Errorf("the persistent id %s does not name the type, key and length of a storage; %s", kinds(id), damaged)
	}
	if length > 5 && id[5] != nil {
		return nil, fmt.Errorf("storage %s is a view of another, as in PyTorch before 0.4; %s", elements.Quote(key), resave)
	}
	bits, _ := elements.Bits(g.dtype)
	if numel < 0 || numel > math.MaxInt64/(bits/8) {
		return nil, fmt.Errorf("storage %s of %d elements; %s", elements.Quote(key), numel, damaged)
	}
	return &storage{key: key, dtype: g.dtype, bytes: numel * (bits / 8)}, nil
}

// rebuildTensor makes a view from (storage, offset, size, stride, ...); a function with
// roleTensorOfType has the element type as its seventh argument.
func rebuildTensor(g global, args []any) (*view, error) {
	typed := g.role == roleTensorOfType
	if len(args) < 4 || typed && len(args) < 7 || len(args) > 8 {
		return nil, fmt.Errorf("%d arguments; %s", len(args), damaged)
	}
	s, ok := args[0].(*storage)
	offset, ok2 := args[1].(int64)
	sizes, ok3 := args[2].(*tuple)
	strides, ok4 := args[3].(*tuple)
	if !ok || !ok2 || !ok3 || !ok4 {
		return nil, fmt.Errorf("the arguments %s in place of a storage, an offset, a size and strides; %s", kinds(args), damaged)
	}
	size, stride := sizes.items, strides.items
	v := &view{storage: s, dtype: s.dtype, first: offset}
	if typed {
		t, ok := args[6].(global)
		if !ok || t.role != roleType {
			return nil, fmt.Errorf("%s in place of an element type; %s", kind(args[6]), damaged)
		}
		v.dtype = t.dtype
	}
	bits, _ := elements.Bits(v.dtype)
	v.size = bits / 8
	if len(size) != len(stride) || len(size) > maxDims {
		return nil, fmt.Errorf("%d sizes and %d strides, at most %d are possible; %s", len(size), len(stride), maxDims, damaged)
	}
	v.shape, v.stride = make(tensor.Shape, len(size)), make([]int64, len(size))
	for i := range size {
		n, ok := size[i].(int64)
		step, ok2 := stride[i].(int64)
		if !ok || !ok2 || n < 0 || n > math.MaxInt || step < 0 {
			return nil, fmt.Errorf("size %s and stride %s of dimension %d are no counts; %s", show(size[i]), show(stride[i]), i, damaged)
		}
		v.shape[i], v.stride[i] = int(n), step
	}
	return v, v.check()
}

// check checks the view against its storage and computes the range that it spans.
func (v *view) check() error {
	have := v.storage.bytes / v.size
	if v.first < 0 || v.first > have {
		return fmt.Errorf("begins at element %d of a storage of %d; %s", v.first, have, damaged)
	}
	// Zeros are left out of the checked product, so that a size of zero cannot hide an
	// overflow elsewhere in the shape.
	empty, product := false, int64(8) // largest size of an element in memory, in bytes
	for _, d := range v.shape {
		if d == 0 {
			empty = true
			continue
		}
		if product > math.MaxInt/int64(d) {
			return fmt.Errorf("shape %v has more elements than can be counted; %s", v.shape, damaged)
		}
		product *= int64(d)
	}
	v.after = v.first
	if empty {
		return nil
	}
	last := v.first
	for i, d := range v.shape {
		if d > 1 && v.stride[i] > 0 {
			if int64(d-1) > (have-last)/v.stride[i] {
				last = have
				break
			}
			last += int64(d-1) * v.stride[i]
		}
	}
	if last >= have {
		return fmt.Errorf("shape %v with strides %v from element %d reaches outside its storage of %d elements; %s",
			v.shape, v.stride, v.first, have, damaged)
	}
	v.after = last + 1
	return nil
}

// contiguous reports whether the elements lie in row-major order without gaps.
func (v *view) contiguous() bool {
	next := int64(1)
	for i := len(v.shape) - 1; i >= 0; i-- {
		if v.shape[i] > 1 && v.stride[i] != next {
			return false
		}
		next *= int64(v.shape[i])
	}
	return true
}
