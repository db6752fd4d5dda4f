package checkpoint

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// Setting is one line of settings.yaml.
type Setting struct{ Name, Value string }

// ListSettings returns the settings of a run as text, in the order of settings.yaml.
func (r *Run) ListSettings() ([]Setting, error) {
	var top yaml.Node
	if err := r.PickSettings(&top); err != nil {
		return nil, err
	}
	var out []Setting
	for _, doc := range top.Content {
		for i := 0; i+1 < len(doc.Content); i += 2 {
			out = append(out, Setting{doc.Content[i].Value, plain(doc.Content[i+1])})
		}
	}
	return out, nil
}

// plain formats a YAML value in one line.
func plain(n *yaml.Node) string {
	if n.Kind == yaml.ScalarNode {
		return n.Value
	}
	var parts []string
	for i := 0; i < len(n.Content); i++ {
		part := plain(n.Content[i])
		if n.Kind == yaml.MappingNode && i+1 < len(n.Content) {
			i++
			part += " " + plain(n.Content[i])
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", ")
}
