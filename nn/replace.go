package nn

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Header is a module that names its head, the module within it that turns features into the output.
type Header interface {
	Module
	Head() string // a path, as in Named
}

// Replacer is a module with its own way to replace a module within it. Replace calls it for
// modules whose Forward does not call the modules in their fields.
type Replacer interface {
	Module
	Replace(path string, with Module) error
}

// Head returns the path of m's head, the module that turns features into classes. This is m.Head()
// if m is a Header, and otherwise the last linear layer or, if there is none, the layer of the
// last parameter. Head returns "" for a module without parameters.
func Head(m Module) string {
	if h, ok := m.(Header); ok {
		return h.Head()
	}
	w, head := walkFields(m), ""
	var header *namedModule // a Header within m, such as a network in a Sequential, names the head for all modules below it
	for _, p := range w.modules {
		if header != nil && p.below(header) {
			continue
		}
		path := p.path
		switch l := p.module.(type) {
		case *Linear:
		case Header:
			header, path = p, join(path, l.Head())
		default:
			continue
		}
		if w.holds(path) {
			head = path
		}
	}
	if head == "" {
		for _, p := range w.parameters {
			if p.Trainable {
				head = p.Name[:max(strings.LastIndexByte(p.Name, '.'), 0)]
			}
		}
	}
	return head
}

// holds reports whether there are parameters below a path. There are none after a cut.
func (w *fieldWalker) holds(path string) bool {
	return slices.ContainsFunc(w.parameters, func(p NamedParameter) bool { return strings.HasPrefix(p.Name, path+".") })
}

// Submodule returns the module at a path as in Named, such as layer4.1.conv2, like PyTorch's
// get_submodule. The path "" stands for m. The error lists the modules near an unknown path.
func Submodule(m Module, path string) (Module, error) {
	w := walkFields(m)
	for _, p := range w.modules {
		if p.path == path {
			return p.module, nil
		}
	}
	return nil, w.unknown(m, path)
}

// ReplaceHead puts head in the place of m's head (see Head), such as new linear layers for
// other classes. The parameters of head are named below the path of the old one, and all others
// keep their names and values.
func ReplaceHead(m, head Module) error {
	path := Head(m)
	if path == "" {
		return fmt.Errorf("%s has no layer with parameters that could be its head; choose a module by its path", Class(m))
	}
	return Replace(m, path, head)
}

// Replace replaces the module at path by with, like an assignment to the field. The parameters
// of with are named below path. The field must have an interface type, such as Module or an
// element of a Sequential, or the type of with. Otherwise, or if m has no module at path,
// Replace changes nothing and returns an error.
func Replace(m Module, path string, with Module) error {
	if with == nil {
		return fmt.Errorf("nn.Replace: no module was given for %q of %s; Identity leaves a layer out", path, Class(m))
	}
	if path == "" {
		return fmt.Errorf("nn.Replace: the path is empty; use the new module in place of %s", Class(m))
	}
	found, err := replace(reflect.ValueOf(m), path, path, with)
	if err == nil && !found {
		err = walkFields(m).unknown(m, path)
	}
	if err != nil {
		return err
	}
	return nil
}

// replace looks for the module at a path below v and replaces it. fullPath is the path from the
// outermost module.
func replace(v reflect.Value, path, fullPath string, with Module) (found bool, err error) {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		if v.IsNil() || v.Type() == variableType || v.Type() == nodeType || v.Type() == graphType {
			return false, nil
		}
		if r, ok := asReplacer(v); ok {
			return true, r.Replace(path, with)
		}
		v = v.Elem()
	}
	try := func(name string, child reflect.Value, set func(reflect.Value), what string) bool {
		rest, below := strings.CutPrefix(path, name+".")
		switch {
		case name == path && mayHold(child):
			found, err = true, assign(child.Type(), set, what, fullPath, with)
		case name == "":
			found, err = replace(child, path, fullPath, with)
		case below:
			found, err = replace(child, rest, fullPath, with)
		}
		return found || err != nil
	}
	switch v.Kind() {
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if e := v.Index(i); try(strconv.Itoa(i), e, setter(e), "an element of a "+v.Type().String()) {
				return found, err
			}
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			if k.Kind() == reflect.String && try(k.String(), v.MapIndex(k), func(x reflect.Value) { v.SetMapIndex(k, x) }, "an element of a "+v.Type().String()) {
				return found, err
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			name, tagged := f.Tag.Lookup("nn")
			switch {
			case name == "-":
				continue
			case f.Anonymous && !tagged:
				name = ""
			case !tagged:
				name = snake(f.Name)
			}
			if try(name, v.Field(i), setter(v.Field(i)), fmt.Sprintf("field %s of %s", f.Name, v.Type().Name())) {
				return found, err
			}
		}
	}
	return false, nil
}

func asReplacer(v reflect.Value) (Replacer, bool) {
	if !v.CanInterface() {
		return nil, false
	}
	r, ok := v.Interface().(Replacer)
	return r, ok
}

// mayHold reports whether v is a module or an empty place for one.
func mayHold(v reflect.Value) bool {
	t := v.Type()
	return t.Implements(moduleType) || reflect.PointerTo(t).Implements(moduleType)
}

// setter returns the function that sets v, or nil if v cannot be set.
func setter(v reflect.Value) func(reflect.Value) {
	if v.CanSet() {
		return v.Set
	}
	return nil
}

// assign sets a field or element of type t; what describes it.
func assign(t reflect.Type, set func(reflect.Value), what, path string, with Module) error {
	x := reflect.ValueOf(with)
	if x.Kind() == reflect.Pointer && x.Type().Elem() == t && !x.IsNil() {
		x = x.Elem() // a layer stored by value
	}
	switch {
	case !x.Type().AssignableTo(t):
		return fmt.Errorf("%s is %s, which is a %v and cannot hold a %v; declare it as nn.Module", path, what, t, reflect.TypeOf(with))
	case set == nil:
		return fmt.Errorf("%s is %s, which is unexported or in a struct stored by value; export it, and use a pointer to the struct", path, what)
	}
	set(x)
	return nil
}

// unknown is the error of a path at which m has no module. It lists the modules near the path:
// those directly in the innermost module that exists, or else the first of all modules.
func (w *fieldWalker) unknown(m Module, path string) error {
	const listed = 12
	for under := path; ; {
		under = under[:max(strings.LastIndexByte(under, '.'), 0)]
		var direct, all []string
		for _, p := range w.modules {
			rest, below := strings.CutPrefix(p.path, under+".")
			if under == "" {
				rest, below = p.path, p.path != ""
			}
			if below && !slices.Contains(all, p.path) {
				all = append(all, p.path)
				if !strings.Contains(rest, ".") {
					direct = append(direct, p.path)
				}
			}
		}
		if len(direct) == 0 { // as in an ONNX graph, whose layers have paths and no modules around them
			direct = all
		}
		if n := len(direct); n > listed {
			direct = append(direct[:listed:listed], fmt.Sprintf("and %d more", n-listed))
		}
		switch {
		case len(direct) > 0:
			return fmt.Errorf("%s has no module %q; it has %s", Class(m), path, strings.Join(direct, ", "))
		case under == "":
			return fmt.Errorf("%s has no module %q, and contains no modules at all", Class(m), path)
		}
	}
}
