package exchange

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/quant"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights"
)

// Weights are the tensors of a file of any format that package weights opens. Load copies
// them into a model and Identify finds the models that they fit.
//
// Weights tries several namings of the tensors: the file's own names, those without a common
// prefix, those translated from Hugging Face's (see torchvisionName), those without tensors
// that clearly belong to a loss or a metric, and a backbone joined with a head. The weights
// of an ONNX graph are the parameters of the model that computes the same as the graph, if
// there is one.
type Weights struct {
	Path     string
	Format   weights.Format
	Metadata map[string]string

	file       *weights.File             // may be closed once the tensors are read
	fileShapes map[string]tensor.Shape   // shapes by the file's names
	names      []string                  // the file's names, in its order
	tensors    map[string]*tensor.Tensor // by the file's names; nil if only names and shapes were read
	namings    []naming
	dictNote   string // the note that says which of several state dicts was taken; "" if there is one
	claims     []claim
}

// ReadWeights reads all tensors of an open file, which may be closed afterwards.
// modelfile.OpenWeights is ReadWeights for a path.
func ReadWeights(f *weights.File) (*Weights, error) {
	w, err := listWeights(f, nil)
	if err != nil {
		return nil, err
	}
	return w, w.read()
}

// listWeights lists the tensors of a file, except those to ignore, without reading them.
func listWeights(f *weights.File, ignore []string) (w *Weights, err error) {
	w = &Weights{Path: f.Path, Format: f.Format, Metadata: f.Metadata, file: f, fileShapes: map[string]tensor.Shape{}}
	scales, err := quant.Scales(f.Metadata)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Path, err)
	}
	for _, name := range f.Names() {
		if slices.Contains(scales, name) {
			continue
		}
		full := f.Prefix + name
		if slices.ContainsFunc(ignore, func(i string) bool { return beginsWith(name, i) || beginsWith(full, i) }) {
			continue
		}
		w.names = append(w.names, name)
		_, w.fileShapes[name], _ = f.Info(name)
	}
	w.namings = w.listNamings(w.names, f.Prefix)
	if len(f.PassedOver) > 0 {
		w.dictNote = fmt.Sprintf("of the state dicts in the file, that under %s is taken, not %s; to take another, save it alone with torch.save", f.Key, strings.Join(f.PassedOver, " or "))
	}
	if w.claims, err = claimsOf(f); err != nil {
		return nil, err
	}
	return w, nil
}

// beginsWith reports whether a name is the ignored one, or begins with it and a dot.
func beginsWith(name, ignored string) bool {
	after, ok := strings.CutPrefix(name, strings.TrimSuffix(ignored, "."))
	return ok && ignored != "" && (after == "" || after[0] == '.')
}

// read reads the tensors. The file must be open.
func (w *Weights) read() (err error) {
	if w.tensors, err = w.file.Tensors(); err != nil {
		return err
	}
	if _, _, err = quant.Load(w.tensors, w.Metadata); err != nil {
		return fmt.Errorf("%s: %w", w.Path, err)
	}
	return nil
}

// tensorsUnder returns the tensors under a naming, without PyTorch's batch counters, which nothing
// here needs.
func (w *Weights) tensorsUnder(n naming) map[string]*tensor.Tensor {
	values := make(map[string]*tensor.Tensor, len(n.of))
	for name, own := range n.of {
		if !nn.Counter(name) {
			values[name] = w.tensors[own]
		}
	}
	return values
}

// shapes returns the shapes of the tensors that tensorsUnder returns.
func (w *Weights) shapes(n naming) map[string]tensor.Shape {
	shapes := make(map[string]tensor.Shape, len(n.of))
	for name, own := range n.of {
		if !nn.Counter(name) {
			shapes[name] = w.fileShapes[own]
		}
	}
	return shapes
}

// Identify finds the models that have the file's names and shapes.
func (w *Weights) Identify() []models.Match {
	for _, n := range w.namings {
		if found := models.Identify(w.shapes(n)); len(found) > 0 {
			for i, m := range found {
				found[i] = w.withStatedStem(m)
			}
			return found
		}
	}
	return nil
}

// naming returns the naming that shares the most names with m, and among equals the one with
// the fewest other names.
func (w *Weights) naming(m nn.Module) naming {
	known := map[string]bool{}
	for _, p := range nn.Named(m) {
		known[p.Name] = true
	}
	score := func(n naming) (score int) {
		for name := range n.of {
			switch {
			case known[name]:
				score += 2
			case !nn.Counter(name):
				score--
			}
		}
		return score
	}
	return slices.MaxFunc(w.namings, func(a, b naming) int { return cmp.Compare(score(a), score(b)) })
}
