package exchange

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// Difference is the error of weights that do not fit a model. Its lists name the tensors,
// with their shapes, that the file lacks, that the model does not have, and that have
// another shape.
type Difference struct {
	Model                      string // the title of the nearest model; see models.Match.Title
	Missing, Unexpected, Other []string

	names []string // the names of Unexpected in the file, without shapes
}

// Error lists the differences, up to four of each kind.
func (d *Difference) Error() string {
	const listed = 4
	var parts []string
	for _, kind := range []struct {
		label, separator string
		names            []string
	}{{"missing", ", ", d.Missing}, {"unexpected", ", ", d.Unexpected}, {"of another shape", "; ", d.Other}} {
		if n := len(kind.names); n > 0 {
			text := strings.Join(kind.names[:min(n, listed)], kind.separator)
			if n > listed {
				text += fmt.Sprintf("%sand %d more", kind.separator, n-listed)
			}
			parts = append(parts, fmt.Sprintf("%d %s (%s)", n, kind.label, text))
		}
	}
	return strings.Join(parts, ", ")
}

// Surplus returns the names to leave out (see ModelConfig.Ignore) for the other tensors to
// fit the model. It returns nil if there are other differences, or if an unexpected tensor
// lies within the stages of the network.
func (d *Difference) Surplus() []string {
	if len(d.Missing)+len(d.Other) > 0 || slices.ContainsFunc(d.names, ofTrunk.MatchString) {
		return nil
	}
	return d.names
}

// differs returns a *Difference between the tensors under a naming, whose shapes are given,
// and the parameters of m; nil if there is none.
func (w *Weights) differs(m nn.Module, shapes map[string]tensor.Shape, n naming) error {
	d := &Difference{}
	known := map[string]bool{}
	for _, p := range nn.Named(m) {
		known[p.Name] = true
		switch has, ok := shapes[p.Name]; {
		case !ok:
			d.Missing = append(d.Missing, withShape(p.Name, p.Value.Shape()))
		case !has.Equal(p.Value.Shape()):
			d.Other = append(d.Other, fmt.Sprintf("%s and should be %v", strings.Replace(withShape(p.Name, has), " [", " is [", 1), p.Value.Shape()))
		}
	}
	here := make(map[string]string, len(n.of))
	for name, own := range n.of {
		here[own] = name
	}
	for _, own := range w.names { // in the file's order
		if name, ok := here[own]; ok && !known[name] && !nn.Counter(name) {
			d.Unexpected, d.names = append(d.Unexpected, withShape(own, w.fileShapes[own])), append(d.names, own)
		}
	}
	if len(d.Missing)+len(d.Unexpected)+len(d.Other) == 0 {
		return nil
	}
	return d
}

// shapesOf returns the shapes of tensors.
func shapesOf(values map[string]*tensor.Tensor) map[string]tensor.Shape {
	shapes := make(map[string]tensor.Shape, len(values))
	for name, t := range values {
		if t != nil {
			shapes[name] = t.Shape()
		}
	}
	return shapes
}

// identity returns an error that says which models the tensors fit, or how the nearest differs.
func (w *Weights) identity() error {
	if found := w.Identify(); len(found) > 0 {
		return fmt.Errorf("it holds the weights of %s", joinTitles(found))
	}
	return w.unknownError()
}

// unknownError is the error of tensors that fit no model. It names the nearest model and the
// differences from it.
func (w *Weights) unknownError() error {
	if len(w.names) == 0 {
		return errors.New("holds no tensors of a network")
	}
	match, n, shared := w.nearest()
	what := "its names and shapes fit no model known by name; from the nearest"
	if !shared {
		match, n = w.nearestInSize(), w.namings[0]
		what = "its tensors have other names than those of any model known by name; from the nearest in size"
	}
	err := w.differsFrom(match, n)
	if err == nil { // Configured counts more than names and shapes
		err = fmt.Errorf("%d numbers", countElements(w.shapes(n)))
	}
	return fmt.Errorf("%s, %s, it differs in %w%s", what, match.Title(), err, w.statedName())
}

// differsFrom returns how the tensors differ from the model of a match.
func (w *Weights) differsFrom(match models.Match, n naming) error {
	c := match.Config
	c.Blank = true
	err := w.differs(match.Entry.New(c), w.shapes(n), n)
	if d, ok := err.(*Difference); ok {
		d.Model = match.Title()
	}
	return err
}

// nearest finds the model that shares the most names and shapes with the file. ok is false if none shares any.
func (w *Weights) nearest() (best models.Match, under naming, ok bool) {
	highest := 0
	for _, o := range outlines() {
		for _, n := range w.namings {
			shapes := w.shapes(n)
			m := o.entry.Nearest(shapes)
			if score := o.agreement(m.Config, shapes); score > highest {
				best, under, highest = m, n, score
			}
		}
	}
	for _, name := range models.Names() { // prefer the name of the model that has these blocks
		if e, err := models.Lookup(name); err == nil && highest > 0 && best.Same(models.Match{Entry: e}) {
			best.Entry, best.Config.Blocks = e, nil
			break
		}
	}
	return best, under, highest > 0
}

// nearestInSize finds the model whose number of parameters is nearest to the file's.
func (w *Weights) nearestInSize() (best models.Match) {
	has := countElements(w.shapes(w.namings[0]))
	far := func(e models.Entry) int64 { return max(e.Params-has, has-e.Params) }
	for _, name := range models.Names() {
		if e, err := models.Lookup(name); err == nil && (best.Entry.Name == "" || far(e) < far(best.Entry)) {
			best.Entry = e
		}
	}
	return best
}

// outline holds the names and shapes of a model's parameters, with one block in each stage.
type outline struct {
	entry  models.Entry
	names  []string
	shapes []tensor.Shape
}

// outlines lists one outline of every form.
var outlines = sync.OnceValue(func() (all []outline) {
	seen := map[string]bool{}
	for _, name := range models.Names() {
		e, err := models.Lookup(name)
		if err != nil || seen[familyKey(e)] {
			continue
		}
		seen[familyKey(e)] = true
		o := outline{entry: e}
		for _, p := range nn.Named(e.New(models.Config{Blocks: oneBlockEach(e), Blank: true})) {
			o.names, o.shapes = append(o.names, p.Name), append(o.shapes, p.Value.Shape().Clone())
		}
		all = append(all, o)
	}
	return all
})

// agreement scores how well the shapes fit a network with the channels and classes of c: one
// point for each name that they share, and one more if its shape is the same.
func (o outline) agreement(c models.Config, shapes map[string]tensor.Shape) (n int) {
	for i, name := range o.names {
		want, has := o.shapes[i], shapes[name]
		switch name {
		case o.entry.Stem + ".weight":
			want = want.Clone()
			want[1] = cmp.Or(c.Channels, o.entry.Channels)
		case o.entry.Head + ".weight", o.entry.Head + ".bias":
			want = want.Clone()
			want[0] = cmp.Or(c.Classes, o.entry.Classes)
		}
		switch {
		case has.Equal(want):
			n += 2
		case has != nil:
			n++
		}
	}
	return n
}

// countElements counts the elements of all tensors.
func countElements(shapes map[string]tensor.Shape) (n int64) {
	for _, s := range shapes {
		n += int64(s.Numel())
	}
	return n
}
