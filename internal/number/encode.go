package number

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
)

// Marshal is json.Marshal, in which every number may be NaN or infinite.
func Marshal(v any) ([]byte, error) {
	e := encoder{html: true}
	err := e.value(reflect.ValueOf(v))
	return e.out, err
}

// Object is Marshal of a struct for its own MarshalJSON, which it does not call. It leaves <,
// > and & for the encoder that called that method.
func Object(v any) ([]byte, error) {
	var e encoder
	err := e.object(reflect.Indirect(reflect.ValueOf(v)))
	return e.out, err
}

// Write writes v as a line of JSON, or over several lines that begin as json.Indent makes
// them where indent is not empty. It leaves <, > and & as they are.
func Write(w io.Writer, v any, indent string) error {
	var e encoder
	if err := e.value(reflect.ValueOf(v)); err != nil {
		return err
	}
	out := bytes.NewBuffer(e.out)
	if indent != "" {
		out = new(bytes.Buffer)
		if err := json.Indent(out, e.out, "", indent); err != nil {
			return err
		}
	}
	out.WriteByte('\n')
	_, err := w.Write(out.Bytes())
	return err
}

// encoder follows the documentation of json.Marshal.
type encoder struct {
	html bool // escape <, > and &
	out  []byte
}

var (
	marshaler     = reflect.TypeFor[json.Marshaler]()
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
)

func (e *encoder) value(v reflect.Value) error {
	if !v.IsValid() {
		e.out = append(e.out, "null"...)
		return nil
	}
	if v.Kind() != reflect.Pointer && v.CanAddr() && marshals(reflect.PointerTo(v.Type())) && !marshals(v.Type()) {
		v = v.Addr()
	}
	if marshals(v.Type()) {
		return e.leaf(v)
	}
	switch v.Kind() {
	case reflect.Float32, reflect.Float64:
		if text, ok := word(v.Float()); ok {
			e.out = append(e.out, text...)
			return nil
		}
	case reflect.Pointer, reflect.Interface:
		return e.value(v.Elem())
	case reflect.Struct:
		return e.object(v)
	case reflect.Map:
		if v.Type().Key().Kind() == reflect.String && !v.Type().Key().Implements(textMarshaler) && !v.IsNil() {
			return e.entries(v)
		}
	case reflect.Slice:
		if !v.IsNil() && !plain(v.Type().Elem()) {
			return e.elements(v)
		}
	case reflect.Array:
		if !plain(v.Type().Elem()) {
			return e.elements(v)
		}
	}
	return e.leaf(v)
}

func marshals(t reflect.Type) bool { return t.Implements(marshaler) || t.Implements(textMarshaler) }

// plain reports whether a value of type t holds no floating-point number: encoding/json
// encodes a long list of these at once.
func plain(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Slice, reflect.Array:
		return plain(t.Elem())
	case reflect.Float32, reflect.Float64, reflect.Interface, reflect.Map, reflect.Pointer, reflect.Struct:
		return false
	}
	return true
}

// leaf encodes what holds no number of ours as encoding/json does.
func (e *encoder) leaf(v reflect.Value) error {
	var b bytes.Buffer
	j := json.NewEncoder(&b)
	j.SetEscapeHTML(e.html)
	err := j.Encode(v.Interface())
	e.out = append(e.out, bytes.TrimSuffix(b.Bytes(), []byte{'\n'})...)
	return err
}

// member appends a comma, unless it is the first of what begins at start, the name, and the
// value.
func (e *encoder) member(start int, name string, v reflect.Value) error {
	if len(e.out) > start {
		e.out = append(e.out, ',')
	}
	if err := e.leaf(reflect.ValueOf(name)); err != nil {
		return err
	}
	e.out = append(e.out, ':')
	return e.value(v)
}

func (e *encoder) object(v reflect.Value) error {
	e.out = append(e.out, '{')
	start := len(e.out)
	fields, err := Fields(v)
	for _, f := range fields {
		err = errors.Join(err, e.member(start, f.Name, f.Value))
	}
	e.out = append(e.out, '}')
	return err
}

func (e *encoder) entries(v reflect.Value) error {
	e.out = append(e.out, '{')
	start, keys := len(e.out), v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	var err error
	for _, k := range keys {
		err = errors.Join(err, e.member(start, k.String(), v.MapIndex(k)))
	}
	e.out = append(e.out, '}')
	return err
}

func (e *encoder) elements(v reflect.Value) error {
	e.out = append(e.out, '[')
	for i := range v.Len() {
		if i > 0 {
			e.out = append(e.out, ',')
		}
		if err := e.value(v.Index(i)); err != nil {
			return err
		}
	}
	e.out = append(e.out, ']')
	return nil
}

// Field is a field of a struct as it has a name in JSON.
type Field struct {
	Name   string // its tag's, or its own in Go
	Tagged bool
	Value  reflect.Value

	depth int // of the embedded structs that it is in
	omit  bool
}

// Fields lists the fields of a struct that its JSON has, in order: without those that their
// tags leave out, and with those of embedded structs, unless a field outside has the name.
func Fields(v reflect.Value) ([]Field, error) {
	all, err := fieldsOf(v, 0)
	hidden := func(f Field) bool {
		return slices.ContainsFunc(all, func(o Field) bool { return o.Name == f.Name && o.depth < f.depth })
	}
	var fields []Field
	for _, f := range all {
		if !f.omit && !hidden(f) {
			fields = append(fields, f)
		}
	}
	return fields, err
}

func fieldsOf(v reflect.Value, depth int) (all []Field, err error) {
	for i := range v.NumField() {
		f, value := v.Type().Field(i), v.Field(i)
		tag := f.Tag.Get("json")
		name, options, _ := strings.Cut(tag, ",")
		if f.Anonymous && name == "" && isStruct(f.Type) {
			if value = reflect.Indirect(value); value.IsValid() {
				within, inErr := fieldsOf(value, depth+1)
				all, err = append(all, within...), errors.Join(err, inErr)
			}
			continue
		}
		if !f.IsExported() || tag == "-" {
			continue
		}
		field := Field{Name: name, Tagged: name != "", Value: value, depth: depth}
		if name == "" {
			field.Name = f.Name
		}
		for option := range strings.SplitSeq(options, ",") {
			switch option {
			case "":
			case "omitempty":
				field.omit = field.omit || empty(value)
			case "omitzero":
				field.omit = field.omit || value.IsZero()
			default:
				err = errors.Join(err, fmt.Errorf("field %s: the tag's option %q is not supported", f.Name, option))
			}
		}
		all = append(all, field)
	}
	return all, err
}

// isStruct reports whether t is a struct or a pointer to one.
func isStruct(t reflect.Type) bool {
	return t.Kind() == reflect.Struct || t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct
}

// empty is what json.Marshal's option omitempty leaves out.
func empty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
		return v.Len() == 0
	case reflect.Struct:
		return false
	case reflect.Float32, reflect.Float64:
		return v.Float() == 0 // -0, too
	}
	return v.IsZero()
}
