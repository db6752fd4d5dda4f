package pth

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/elements"
)

// role says how a global may be used.
type role uint8

const (
	roleDict          role = iota // called without arguments or with pairs: a dict
	roleSize                      // torch.Size: called with a tuple, which it returns
	roleStorage                   // names the element type of a storage
	roleType                      // names the element type of a tensor
	roleClass                     // the class of a tensor
	roleTensor                    // a function that makes a tensor from a storage
	roleTensorOfType              // the same with an element type as an argument
	roleParameter                 // a function that returns its first argument, the tensor
	roleTensorOfClass             // a function that calls one of the three above
	roleInert                     // harmless, and ignored
)

// global is a name that a pickle may mention. It is data and never code: reduce below
// defines what a call of it does.
type global struct {
	name  string
	role  role
	dtype string // of a storage or a type, by package elements' name
}

// kinds describes up to a few arguments for an error.
func kinds(args []any) string {
	const most = 6
	names := make([]string, 0, most+1)
	for i, a := range args {
		if i == most {
			names = append(names, "more")
			break
		}
		names = append(names, kind(a))
	}
	return "(" + strings.Join(names, ", ") + ")"
}

const (
	damaged = "the file is damaged or was made to harm; copy, download or save it again"
	resave  = "load it in PyTorch and save model.state_dict() alone with torch.save"
)

// These are the values of a pickle. None is nil; bool, int64, float64, string and []byte
// stand for Python's types. No value can contain code.
type (
	wide  []byte // an integer of more than 64 bits, little-endian
	list  struct{ items []any }
	tuple struct {
		items []any
		depth int // nesting depth of the tuples in it
	}
	dict struct {
		keys, values []any
		text         map[string]int // items with string keys
	}
	// inert is an object of a harmless class, or a set. Its content is dropped, except for
	// the attributes of an argparse.Namespace.
	inert struct {
		class string
		state *dict
	}
)

// kind describes a value in errors, by Python's names.
func kind(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		return "a bool"
	case int64, wide:
		return "an int"
	case float64:
		return "a float"
	case string:
		return "a str"
	case []byte:
		return "bytes"
	case *tuple:
		return "a tuple"
	case *list:
		return "a list"
	case *dict:
		return "a dict"
	case *inert:
		return "a " + v.class
	case global:
		return v.name
	case *storage:
		return "a storage"
	case *view:
		return "a tensor"
	}
	return fmt.Sprintf("%T", v)
}

// show formats a plain value for an error.
func show(v any) string {
	switch v := v.(type) {
	case string:
		return elements.Quote(v)
	case int64:
		return strconv.FormatInt(v, 10)
	}
	return kind(v)
}

// storage is a run of elements in the file, which several tensors may share.
type storage struct {
	key   string
	dtype string
	bytes int64
	at    int64 // offset of its first byte in the file
}

// view is a tensor: a shape and strides over a storage. Every element of a valid view lies
// inside the storage.
type view struct {
	storage      *storage
	dtype        string
	size         int64 // bytes per element
	shape        tensor.Shape
	stride       []int64 // in elements
	first, after int64   // the range of the storage that it spans, in elements
}
