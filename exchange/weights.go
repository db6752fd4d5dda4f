package exchange

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
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

	file    *weights.File             // may be closed once the tensors are read
	stored  map[string]tensor.Shape   // shapes by the file's names
	order   []string                  // the file's names, in its order
	tensors map[string]*tensor.Tensor // by the file's names; nil if only names and shapes were read
	namings []naming
	chosen  string // the note that says which of several state dicts was taken; "" if there is one
	claims  []claim
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

// Identify finds the models of the registry that have the names and shapes of the tensors in
// an open file, without reading the tensors themselves. For an ONNX graph it finds the model that
// computes the same. If exactly one model fits but the file, or config.json beside it, names
// another network, Identify returns the model together with an error that says so.
func Identify(f *weights.File) ([]models.Match, error) {
	w, err := listWeights(f, nil)
	if err != nil {
		return nil, err
	}
	if w.Format == weights.ONNX {
		if h, err := recognised(f, ""); err == nil {
			return []models.Match{h.match}, nil
		}
	}
	found := w.Identify()
	if len(found) == 1 {
		if err := w.contradicted(found[0]); err != nil {
			return found, fmt.Errorf("%s: %w", w.Path, err)
		}
	}
	return found, nil
}

// listWeights lists the tensors of a file, except those to ignore, without reading them.
func listWeights(f *weights.File, ignore []string) (w *Weights, err error) {
	w = &Weights{Path: f.Path, Format: f.Format, Metadata: f.Metadata, file: f, stored: map[string]tensor.Shape{}}
	for _, name := range f.Names() {
		full := f.Prefix + name
		if slices.ContainsFunc(ignore, func(i string) bool { return beginsWith(name, i) || beginsWith(full, i) }) {
			continue
		}
		w.order = append(w.order, name)
		_, w.stored[name], _ = f.Info(name)
	}
	w.namings = w.listNamings(w.order, f.Prefix)
	if len(f.PassedOver) > 0 {
		w.chosen = fmt.Sprintf("of the state dicts in the file, that under %s is taken, not %s; to take another, save it alone with torch.save", f.Key, strings.Join(f.PassedOver, " or "))
	}
	if w.claims, err = claimsOf(f); err != nil {
		return nil, err
	}
	return w, nil
}

// beginsWith reports whether a name is the ignored one, or begins with it and a dot.
func beginsWith(name, ignored string) bool {
	rest, ok := strings.CutPrefix(name, strings.TrimSuffix(ignored, "."))
	return ok && ignored != "" && (rest == "" || rest[0] == '.')
}

// read reads the tensors. The file must be open.
func (w *Weights) read() (err error) {
	w.tensors, err = w.file.Tensors()
	return err
}

// in returns the tensors under a naming, without PyTorch's batch counters, which nothing
// here needs.
func (w *Weights) in(n naming) map[string]*tensor.Tensor {
	values := make(map[string]*tensor.Tensor, len(n.of))
	for name, own := range n.of {
		if !nn.Counter(name) {
			values[name] = w.tensors[own]
		}
	}
	return values
}

// shapes returns the shapes of the tensors that in returns.
func (w *Weights) shapes(n naming) map[string]tensor.Shape {
	shapes := make(map[string]tensor.Shape, len(n.of))
	for name, own := range n.of {
		if !nn.Counter(name) {
			shapes[name] = w.stored[own]
		}
	}
	return shapes
}

// Identify finds the models that have the file's names and shapes.
func (w *Weights) Identify() []models.Match {
	for _, n := range w.namings {
		if found := models.Identify(w.shapes(n)); len(found) > 0 {
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

// fromGraph replaces w's tensors with the parameters of the model that computes the same as
// the ONNX graph, which must be e, possibly with other numbers of blocks. other reports that
// the graph is another model.
func (w *Weights) fromGraph(e models.Entry) (other bool, err error) {
	h, err := recognised(w.file, e.Name)
	if err != nil {
		return false, err
	}
	if form(h.match.Entry) != form(e) {
		return true, fmt.Errorf("%s: %w", w.Path, notThat(h.match, e.Name))
	}
	w.order, w.stored, w.tensors = nil, map[string]tensor.Shape{}, map[string]*tensor.Tensor{}
	folded := true
	for _, s := range nn.StateDict(h.module) {
		w.order = append(w.order, s.Name)
		w.stored[s.Name], w.tensors[s.Name] = s.Tensor.Shape(), s.Tensor
		if strings.HasSuffix(s.Name, "running_mean") && slices.ContainsFunc(s.Tensor.Data(), func(v float32) bool { return v != 0 }) {
			folded = false
		}
	}
	w.namings = namings(w.order, "")
	if folded {
		w.chosen = "the graph's batch norms are folded into its convolutions: the model's batch norms begin by only adding the bias, without the statistics of the training"
	}
	return false, nil
}

// Load copies the weights into m, a model of e, and tells what it had to change:
//
//   - If the file has another number of classes, or no last layer, m's last layer keeps the
//     values that it has.
//   - If m takes grey images and the file's model colour images, the first layer's weights
//     are summed over its inputs. In the other direction they are divided equally among
//     three inputs. A grey image then gives the same numbers as three equal channels.
//
// All other tensors must be there with m's shapes, and no others; the error lists the
// differences. It is also an error if the file, or config.json beside it, names a network
// that computes something else (see FromWeights).
func (w *Weights) Load(m nn.Module, e models.Entry) (changes []string, err error) {
	if w.Format == weights.ONNX {
		// A graph of no known model may still have parameters with the right names.
		if other, err := w.fromGraph(e); other || err != nil && len(w.Identify()) == 0 {
			return nil, err
		}
	}
	n := w.naming(m)
	if match, err := e.Configured(w.shapes(n)); err == nil {
		if err := w.contradicted(match); err != nil && match.Fits(w.shapes(n)) {
			return nil, fmt.Errorf("%s: %w", w.Path, err)
		}
	}
	values := w.in(n)
	own := map[string]*tensor.Tensor{}
	for _, s := range nn.StateDict(m) {
		own[s.Name] = s.Tensor
	}
	if w.chosen != "" {
		changes = append(changes, w.chosen)
	}
	changes = append(changes, n.notes...)
	if text := newHead(values, own, e.Head); text != "" {
		changes = append(changes, text)
	}
	if text := adaptStem(values, own, e.Stem); text != "" {
		changes = append(changes, text)
	}
	err = w.differs(m, shapesOf(values), n)
	if err == nil {
		err = nn.TakeStateDict(m, values)
	}
	if err != nil {
		if found := w.Identify(); len(found) > 0 {
			other, c := found[0].Entry, found[0].Config
			c.Channels, c.Classes = 0, 0
			if other.Family != e.Family || other.Count(c) != e.Count(models.Config{}) { // not the same net for other images
				err = fmt.Errorf("%w; it holds the weights of %s", err, foundNames(found))
			}
		}
		return nil, fmt.Errorf("%s: not the weights of %s: %w", w.Path, e.Name, err)
	}
	if _, err := checkpoint.ModelIn(w.Metadata); err != nil && widens(e) && w.Format != weights.ONNX {
		changes = append(changes, zerosNote)
	}
	return changes, nil
}

// newHead puts the model's own last layer into values if the file's has another number of
// classes, or is missing. It returns a note, or "" if nothing changed.
func newHead(values, own map[string]*tensor.Tensor, head string) string {
	weight, bias := head+".weight", head+".bias"
	mine, theirs := own[weight], values[weight]
	if mine == nil || own[bias] == nil {
		return ""
	}
	classes, text := mine.Shape()[0], ""
	switch {
	case theirs == nil && values[bias] == nil:
		text = "the file has none"
	case theirs != nil && len(theirs.Shape()) == 2 && theirs.Shape()[1] == mine.Shape()[1] && theirs.Shape()[0] != classes:
		text = fmt.Sprintf("the file's is for %d", theirs.Shape()[0])
	default:
		return ""
	}
	values[weight], values[bias] = mine, own[bias]
	return fmt.Sprintf("the last layer %s is new, for %d classes: %s", head, classes, text)
}

// adaptStem changes the number of channels that the first layer in values takes. It returns a note, or "".
func adaptStem(values, own map[string]*tensor.Tensor, stem string) string {
	name := stem + ".weight"
	mine, theirs := own[name], values[name]
	if mine == nil || theirs == nil || theirs.DType() != tensor.Float32 || len(theirs.Shape()) != 4 {
		return ""
	}
	from, to := theirs.Shape(), mine.Shape()
	if from[0] != to[0] || from[2] != to[2] || from[3] != to[3] {
		return ""
	}
	out, area := from[0], from[2]*from[3]
	adapted := tensor.New(to...)
	text := ""
	switch {
	case from[1] == 3 && to[1] == 1:
		for o := range out {
			for i := range area {
				rgb := theirs.Data()[o*3*area+i:]
				adapted.Data()[o*area+i] = rgb[0] + rgb[area] + rgb[2*area]
			}
		}
		text = "takes 1 channel: the weights of the file's 3 were summed"
	case from[1] == 1 && to[1] == 3:
		for o := range out {
			for i, v := range theirs.Data()[o*area:][:area] {
				for c := range 3 {
					adapted.Data()[(o*3+c)*area+i] = v / 3
				}
			}
		}
		text = "takes 3 channels: the weights of the file's 1 were divided equally among them"
	default:
		return ""
	}
	values[name] = adapted
	return fmt.Sprintf("the first layer %s %s", stem, text)
}

// foundNames lists the titles of matches, joined by "or".
func foundNames(found []models.Match) string {
	var names []string
	for _, m := range found {
		names = append(names, m.Title())
	}
	return strings.Join(names, " or ")
}
