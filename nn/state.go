package nn

import (
	"fmt"
	"slices"
	"strings"

	"github.com/residual-ml/residual/tensor"
)

// StateDict lists the values of m's parameters and buffers in the order of Named. The tensors
// are m's own, not copies.
func StateDict(m Module) []tensor.Named {
	var entries []tensor.Named
	for _, p := range Named(m) {
		entries = append(entries, tensor.Named{Name: p.Name, Tensor: p.Value})
	}
	return entries
}

// LoadStateDict copies values into the parameters and buffers of m by name. If entries are
// missing, unexpected or of another shape or type, it changes nothing and returns an error
// that lists them. It ignores entries called num_batches_tracked, which PyTorch writes and
// Residual does not need.
func LoadStateDict(m Module, values map[string]*tensor.Tensor) error {
	ps, err := fitting(m, values)
	for _, p := range ps {
		copy(p.Value.Data(), values[p.Name].Data())
		copy(p.Value.Ints(), values[p.Name].Ints())
	}
	return err
}

// TakeStateDict is LoadStateDict without copying: the tensors in values become those of m. If
// a tensor has several names, the first parameter gets it and the others get copies.
func TakeStateDict(m Module, values map[string]*tensor.Tensor) error {
	ps, err := fitting(m, values)
	taken := make(map[*tensor.Tensor]bool, len(ps))
	for _, p := range ps {
		v := values[p.Name]
		if taken[v] {
			v = v.Clone()
		}
		p.Value, taken[v] = v, true
	}
	return err
}

// fitting returns m's parameters and buffers if values has exactly these, in their shapes.
func fitting(m Module, values map[string]*tensor.Tensor) ([]NamedParameter, error) {
	ps := Named(m)
	var missing, unexpected, other []string
	known := make(map[string]bool, len(ps))
	for _, p := range ps {
		known[p.Name] = true
		v, ok := values[p.Name]
		switch {
		case !ok || v == nil:
			missing = append(missing, p.Name)
		case !v.Shape().Equal(p.Value.Shape()) || v.DType() != p.Value.DType():
			other = append(other, fmt.Sprintf("%s is %v %v and should be %v %v",
				p.Name, v.DType(), v.Shape(), p.Value.DType(), p.Value.Shape()))
		}
	}
	for name := range values {
		if !known[name] && !Counter(name) {
			unexpected = append(unexpected, name)
		}
	}
	if len(missing)+len(unexpected)+len(other) > 0 {
		slices.Sort(unexpected)
		return nil, mismatch(m, missing, unexpected, other)
	}
	return ps, nil
}

// Counter reports whether name is that of PyTorch's batch counter (num_batches_tracked), which
// Residual does not need.
func Counter(name string) bool {
	return name == "num_batches_tracked" || strings.HasSuffix(name, ".num_batches_tracked")
}

// mismatch returns an error for the state dict of another model, with a few names of each
// kind.
func mismatch(m Module, missing, unexpected, other []string) error {
	const most = 6
	var parts []string
	for _, kind := range []struct {
		label, separator string
		names            []string
	}{{"missing", ", ", missing}, {"unexpected", ", ", unexpected}, {"of another shape", "; ", other}} {
		if n := len(kind.names); n > 0 {
			text := strings.Join(kind.names[:min(n, most)], kind.separator)
			if n > most {
				text += fmt.Sprintf("%sand %d more", kind.separator, n-most)
			}
			parts = append(parts, fmt.Sprintf("%d %s (%s)", n, kind.label, text))
		}
	}
	return fmt.Errorf("the state dict does not fit %s: %s; use the architecture, channels and classes it was saved from",
		Class(m), strings.Join(parts, ", "))
}
