package nn

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// NamedParameter is a parameter or buffer with its path in a module.
type NamedParameter struct {
	Name string
	*graph.Variable
}

// Named lists the parameters and buffers of m in the order in which their fields are
// declared. It also sets Variable.Name of each, which error messages use.
//
// A name is the path of fields to the parameter, as in PyTorch and torchvision: Conv1 becomes
// conv1, RunningMean running_mean, BN1 bn1, and an element of a slice its index; an embedded
// struct adds nothing. The tag `nn:"name"` gives a field another name, and `nn:"-"` hides it.
// A parameter that is reached twice is listed once, under its first path. Named panics if
// there is a parameter below an unexported field, since it would silently not be trained.
func Named(m Module) []NamedParameter {
	ps := walkFields(m).parameters
	for _, p := range ps {
		if p.Variable.Name != p.Name { // once it is named, a module is not written to
			p.Variable.Name = p.Name
		}
	}
	return ps
}

// Parameters lists the trainable entries of Named(m).
func Parameters(m Module) []NamedParameter {
	return slices.DeleteFunc(Named(m), func(p NamedParameter) bool { return !p.Trainable })
}

// Buffers lists the entries of Named(m) that are not trainable.
func Buffers(m Module) []NamedParameter {
	return slices.DeleteFunc(Named(m), func(p NamedParameter) bool { return p.Trainable })
}

// Count returns the number of elements of all parameters of m, without buffers.
func Count(m Module) int64 {
	params, _ := walkFields(m).count()
	return params
}

func (w *fieldWalker) count() (params, buffers int64) {
	for _, p := range w.parameters {
		if p.Trainable {
			params += int64(p.Value.Numel())
		} else {
			buffers += int64(p.Value.Numel())
		}
	}
	return params, buffers
}

type namedModule struct {
	path   string
	module Module
	index  int // in the order of the fields

	parent   *namedModule // the innermost module that contains it
	children []*namedModule
	ordinal  int // index among the parent's children
	depth    int
}

// fieldWalker visits the fields below a module.
type fieldWalker struct {
	parameters []NamedParameter
	modules    []*namedModule         // parents before children
	seen       map[any]bool           // pointers followed
	byIdentity map[any][]*namedModule // modules by identity; nil until it is needed
}

func walkFields(m any) *fieldWalker {
	w := &fieldWalker{seen: map[any]bool{}}
	w.visit("", reflect.ValueOf(m))
	return w
}

func (w *fieldWalker) visit(path string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		w.pointer(path, v)
		return
	case reflect.Interface:
		if !v.IsNil() {
			w.visit(path, v.Elem())
		}
		return
	}
	if v.CanAddr() && v.Type() == variableType.Elem() {
		w.pointer(path, v.Addr())
		return
	}
	if v.IsValid() && !w.note(path, v) && v.CanAddr() {
		w.note(path, v.Addr()) // a layer stored by value whose methods have pointer receivers
	}
	w.inside(path, v)
}

func (w *fieldWalker) pointer(path string, v reflect.Value) {
	if v.IsNil() || v.Type() == nodeType || v.Type() == graphType {
		return
	}
	if v.Elem().Type().Size() > 0 { // pointers to values of size 0 may be equal
		key := [2]any{v.Pointer(), v.Type()}
		if w.seen[key] {
			return
		}
		w.seen[key] = true
	}
	if v.Type() == variableType {
		if !v.CanInterface() {
			panic(tensor.Misusef("nn: parameter %s lies below an unexported field; export the field or tag it `nn:\"-\"`", path))
		}
		w.parameters = append(w.parameters, NamedParameter{path, v.Interface().(*graph.Variable)})
		return
	}
	w.note(path, v)
	before := len(w.parameters)
	w.inside(path, v.Elem())
	if f, ok := asFeatures(v); ok {
		w.parameters = append(w.parameters[:before], slices.DeleteFunc(w.parameters[before:], func(p NamedParameter) bool { return f.hidden[p.Variable] })...)
	}
}

// asFeatures returns the features that v points to.
func asFeatures(v reflect.Value) (*Features, bool) {
	if !v.CanInterface() {
		return nil, false
	}
	f, ok := v.Interface().(*Features)
	return f, ok
}

// note records v if it is a module.
func (w *fieldWalker) note(path string, v reflect.Value) bool {
	if !v.CanInterface() || !v.Type().Implements(moduleType) {
		return false
	}
	w.modules = append(w.modules, &namedModule{path: path, module: v.Interface().(Module)})
	return true
}

// inside visits the elements or fields of v.
func (w *fieldWalker) inside(path string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Slice, reflect.Array:
		if k := v.Type().Elem().Kind(); k <= reflect.Complex128 || k == reflect.String {
			return // plain data
		}
		for i := range v.Len() {
			w.visit(join(path, strconv.Itoa(i)), v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			name, tagged := f.Tag.Lookup("nn")
			switch {
			case name == "-":
			case f.Anonymous && !tagged:
				w.inside(path, reflect.Indirect(v.Field(i)))
			default:
				if !tagged {
					name = snake(f.Name)
				}
				w.visit(join(path, name), v.Field(i))
			}
		}
	case reflect.Map:
		w.entries(path, v)
	case reflect.Pointer:
		w.visit(path, v)
	case reflect.Interface:
		w.visit(path, v)
	}
}

// entries visits the values of a map in the order of its string keys.
func (w *fieldWalker) entries(path string, v reflect.Value) {
	if v.Type().Key().Kind() != reflect.String {
		return
	}
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	for _, k := range keys {
		w.visit(join(path, k.String()), v.MapIndex(k))
	}
}

func join(path, name string) string {
	if path == "" || name == "" {
		return path + name
	}
	return path + "." + name
}

// snake converts a Go name to Python's style: RunningMean to running_mean, BN1 to bn1, FCHead
// to fc_head.
func snake(name string) string {
	r := []rune(name)
	var b strings.Builder
	for i, c := range r {
		if i > 0 && unicode.IsUpper(c) {
			next := i+1 < len(r) && unicode.IsLower(r[i+1])
			if !unicode.IsUpper(r[i-1]) || next {
				b.WriteByte('_')
			}
		}
		b.WriteRune(unicode.ToLower(c))
	}
	return b.String()
}
