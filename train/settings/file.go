package settings

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// records are the keys of a run's settings.yaml that tell what computed it. They are no
// settings, and Read passes over them.
var records = []string{"device", "residual_version", "go_version"}

// Read sets the fields of *config to what a file of settings says, such as the settings.yaml
// of a run, and returns the fields that it names. An error names the line, what was read and
// what it may be; of an unknown key it names the nearest ones.
func Read(text []byte, config any) (fields []string, err error) {
	d := yaml.NewDecoder(bytes.NewReader(text))
	var file yaml.Node
	if err := d.Decode(&file); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errors.New("there are no settings in it; write lines such as lr: 0.05")
		}
		return nil, errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := d.Decode(new(yaml.Node)); err != io.EOF {
		return nil, errors.New("something follows the settings")
	}
	all := file.Content[0]
	if all.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("line %d: these are no settings; write lines such as lr: 0.05", all.Line)
	}
	to := reflect.ValueOf(config).Elem()
	for i := 0; i < len(all.Content); i += 2 {
		key, value := all.Content[i], all.Content[i+1]
		if slices.Contains(records, key.Value) {
			continue
		}
		s, ok := withKey(key.Value)
		switch {
		case !ok:
			return nil, fmt.Errorf("line %d: %w", key.Line, UnknownKey(key.Value))
		case slices.Contains(fields, s.Field):
			return nil, fmt.Errorf("line %d: %s is given twice", key.Line, s.Key)
		}
		field := to.FieldByName(s.Field)
		if err := value.Decode(field.Addr().Interface()); err != nil || cut(value, field.Type()) {
			return nil, fmt.Errorf("line %d: %s: %q is no %s, such as %s", key.Line, s.Key, written(value), Kind(field.Type()), s.Example())
		}
		fields = append(fields, s.Field)
	}
	return fields, nil
}

// cut says whether YAML made a whole number of another one.
func cut(n *yaml.Node, t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Slice:
		return slices.ContainsFunc(n.Content, func(e *yaml.Node) bool { return cut(e, t.Elem()) })
	case reflect.Int, reflect.Int64, reflect.Uint, reflect.Uint64:
		return n.Tag == "!!float"
	}
	return false
}

// written is a value as the file has it.
func written(n *yaml.Node) string {
	if n.Kind == yaml.ScalarNode {
		return n.Value
	}
	text, err := yaml.Marshal(n)
	if err != nil {
		return n.Tag
	}
	return strings.TrimSpace(string(text))
}

func withKey(key string) (Setting, bool) {
	i := slices.IndexFunc(table, func(s Setting) bool { return s.Key == key })
	if i < 0 {
		return Setting{}, false
	}
	return table[i], true
}

// Write returns the file of settings that Read takes for config, a struct whose yaml tags are
// the keys of the table.
func Write(config any) ([]byte, error) {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(config); err != nil {
		return nil, err
	}
	err := e.Close()
	return b.Bytes(), err
}

// Kind says in words what values of a type are, such as whole number.
func Kind(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Float32, reflect.Float64:
		return "number"
	case reflect.Uint, reflect.Uint64:
		return "whole number of at least 0"
	case reflect.Int, reflect.Int64:
		return "whole number"
	case reflect.Slice:
		return "list of " + Kind(t.Elem()) + "s"
	}
	return "text"
}

// Example is a value that the setting may have.
func (s Setting) Example() string {
	switch {
	case s.Range.Such != "":
		return s.Range.Such
	case s.Default != "":
		return s.Default
	case s.Range.Words != nil:
		return s.Range.Words[0]
	case s.Range.Must == "true or false":
		return "true"
	case s.Range.Least > 0:
		return number(s.Range.Least)
	}
	return "1"
}
