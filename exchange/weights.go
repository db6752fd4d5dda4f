package exchange

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights"
)

// Weights are the tensors of a file of any format that package weights opens. Their
// names are tried as they stand, without what all of them have in front, and
// translated from those of Hugging Face (see torchvisionName).
type Weights struct {
	Path     string
	Format   weights.Format
	Metadata map[string]string

	stored  map[string]tensor.Shape   // by the file's names
	tensors map[string]*tensor.Tensor // by the same; nil where only names and shapes were read
	namings []naming
	chosen  string // which of several state dicts they are, if there are several
}

// naming gives the file's name of each tensor by another one.
type naming map[string]string

// OpenWeights reads all tensors of the file at path.
func OpenWeights(path string) (*Weights, error) {
	return openWeights(path, true)
}

// Identify finds the models that have the names and shapes of the file at path, without
// reading its tensors.
func Identify(path string) ([]models.Match, error) {
	w, err := openWeights(path, false)
	if err != nil {
		return nil, err
	}
	return w.Identify(), nil
}

func openWeights(path string, tensors bool) (*Weights, error) {
	f, err := weights.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	w := &Weights{Path: path, Format: f.Format, Metadata: f.Metadata, stored: map[string]tensor.Shape{}}
	if tensors {
		if w.tensors, err = f.Tensors(); err != nil {
			return nil, err
		}
	}
	for _, name := range f.Names() {
		_, w.stored[name], _ = f.Info(name)
	}
	w.namings = namings(f.Names(), f.Prefix)
	if len(f.PassedOver) > 0 {
		w.chosen = fmt.Sprintf("of the state dicts in the file, that under %s is taken, not %s; to take another, save it alone with torch.save", f.Key, strings.Join(f.PassedOver, " or "))
	}
	return w, nil
}

// in returns the tensors under a naming, PyTorch's counters of batches left out:
// nothing here needs them.
func (w *Weights) in(n naming) map[string]*tensor.Tensor {
	values := make(map[string]*tensor.Tensor, len(n))
	for name, own := range n {
		if !nn.Counter(name) {
			values[name] = w.tensors[own]
		}
	}
	return values
}

func (w *Weights) shapes(n naming) map[string]tensor.Shape {
	shapes := make(map[string]tensor.Shape, len(n))
	for name, own := range n {
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

// values returns the tensors under the naming that shares most names with m.
func (w *Weights) values(m nn.Module) map[string]*tensor.Tensor {
	known := map[string]bool{}
	for _, p := range nn.Named(m) {
		known[p.Name] = true
	}
	shared := func(n naming) (count int) {
		for name := range n {
			if known[name] {
				count++
			}
		}
		return count
	}
	return w.in(slices.MaxFunc(w.namings, func(a, b naming) int { return cmp.Compare(shared(a), shared(b)) }))
}

// Load gives m, a model of e, the weights, and tells what of it is not as the file
// has it: with another number of classes, or none in the file, the last layer keeps
// the values it has; where m sees grey and the file colours, the first layer's
// weights are summed over its inputs; where m sees colours and the file grey, they
// are divided equally among three. That gives the same numbers for a grey picture as
// three equal channels. Everything else must be there and of m's shape, and
// nothing more; the error lists what is not.
func (w *Weights) Load(m nn.Module, e models.Entry) (changes []string, err error) {
	values := w.values(m)
	own := map[string]*tensor.Tensor{}
	for _, s := range nn.StateDict(m) {
		own[s.Name] = s.Tensor
	}
	if w.chosen != "" {
		changes = append(changes, w.chosen)
	}
	if text := newHead(values, own, e.Head); text != "" {
		changes = append(changes, text)
	}
	if text := adaptStem(values, own, e.Stem); text != "" {
		changes = append(changes, text)
	}
	if err := nn.TakeStateDict(m, values); err != nil {
		if found := w.Identify(); len(found) > 0 {
			other, c := found[0].Entry, found[0].Config
			c.Channels, c.Classes = 0, 0
			if other.Family != e.Family || other.Count(c) != e.Count(models.Config{}) { // and not the same net for other images
				err = fmt.Errorf("%w; it holds the weights of %s", err, foundNames(found))
			}
		}
		return nil, fmt.Errorf("%s: not the weights of %s: %w", w.Path, e.Name, err)
	}
	return changes, nil
}

// newHead puts the model's own last layer into values where theirs tells another
// number of classes apart, or is not there at all.
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

// adaptStem changes the number of channels that the first layer in values takes.
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

func foundNames(found []models.Match) string {
	var names []string
	for _, m := range found {
		names = append(names, m.Title())
	}
	return strings.Join(names, " or ")
}

// namings lists what the tensors may be called: as in the file, and without the
// first words that all names share. A checkpoint's names have lost a prefix already;
// it may have been a field of the net, so they are tried with it first.
func namings(names []string, prefix string) []naming {
	plain := make(naming, len(names))
	for _, name := range names {
		plain[name] = name
	}
	var all []naming
	if prefix != "" {
		with := make(naming, len(names))
		for _, name := range names {
			with[prefix+name] = name
		}
		all = append(all, with)
	}
	const mostWords = 4 // module.model.backbone.resnet.
	for n, words := plain, 0; n != nil && words <= mostWords; n, words = n.stripped(), words+1 {
		all = append(all, n, n.torchvision())
	}
	return slices.DeleteFunc(all, func(n naming) bool { return n == nil })
}

// stripped leaves out the first word, nil where the names do not share one.
func (n naming) stripped() naming {
	shorter := make(naming, len(n))
	word := ""
	for name, own := range n {
		first, rest, ok := strings.Cut(name, ".")
		if !ok || rest == "" || word != "" && first != word {
			return nil
		}
		word, shorter[rest] = first, own
	}
	if len(shorter) < 2 { // the name of a single tensor says nothing
		return nil
	}
	return shorter
}

// torchvision translates Hugging Face's names, nil where they are none.
func (n naming) torchvision() naming {
	translated := maps.Clone(n)
	clear(translated)
	some := false
	for name, own := range n {
		other, ok := torchvisionName(name)
		some = some || ok
		if _, twice := translated[other]; twice {
			return nil
		}
		translated[other] = own
	}
	if !some {
		return nil
	}
	return translated
}
