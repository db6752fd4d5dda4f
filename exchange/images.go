package exchange

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/prepare"
	"github.com/residual-ml/residual/task"
)

// Restate returns info with the values that c sets in place of its own. net is the model's
// network if that is a graph, else nil; images keep the size that a graph takes.
func Restate(info checkpoint.Model, net *Network, c ModelConfig) (checkpoint.Model, error) {
	if c.Model != "" && c.Model != info.Architecture {
		return info, fmt.Errorf("is %s, not %s", info.Architecture, c.Model)
	}
	if of := info.Task.Named(); c.Classes != nil && of != task.Classes {
		return info, fmt.Errorf("answers with %s and has names for them; leave the names of classes out", of)
	}
	if c.Classes != nil {
		if n := len(info.Classes); n != len(c.Classes) {
			return info, fmt.Errorf("has %d classes, but %d names were given", n, len(c.Classes))
		}
		info.Classes = c.Classes
	}
	choice := c.Images
	if choice.IsZero() {
		return info, nil
	}
	e, err := models.Lookup(info.Architecture)
	if err != nil {
		e = models.Entry{Name: GraphArchitecture}
	}
	var in Input
	if net != nil {
		in = net.Input
	}
	if err := in.suits(choice); err != nil {
		return info, err
	}
	if info.Height != info.Width && c.Images.Size == 0 { // no Size stands for two different sides
		in.Height, in.Width = info.Height, info.Width
	}
	choice = choice.Over(prepare.ChoiceOf(info.Input))
	info.Preprocess = prepare.Steps{}
	if _, err := complete(&info.Input, e, choice, in); err != nil {
		return info, err
	}
	return readBack(info)
}

// beside returns the class names and the image preparation of c, completed from the files
// beside the weights. If these ask for something that is not supported, and c does not
// say otherwise, that is an error.
func (c ModelConfig) beside(path string, channels, classes int, in Input) (names []string, choice prepare.Choice, notes []string, err error) {
	choice = c.Images
	if err := in.suits(choice); err != nil {
		return nil, choice, nil, err
	}
	d, notes, unsupported := described(path)
	mismatches, more := d.dropContradictions(channels, classes)
	for _, t := range append(unsupported, more...) {
		if !t.settledBy(choice, in) {
			return nil, choice, nil, &UnsaidError{Why: t.text, Fields: t.fields, Any: t.any}
		}
	}
	if names = c.Classes; names == nil {
		names = d.classes
	}
	return names, choice.Over(d.images), append(notes, mismatches...), nil
}

// complete sets the input of a model of e: its size, which is the graph's, or c's, or the
// model's own, and the preparation of images.
func complete(to *prepare.Input, e models.Entry, c prepare.Choice, in Input) (notes []string, err error) {
	unsized, unnormal := size(to, e, c, in), error(nil)
	if notes, unnormal = normalise(to, e, c, in); unsized != nil || unnormal != nil {
		return nil, both(unsized, unnormal)
	}
	var guessed bool
	if *to, guessed = c.Sized(*to, e.Input); guessed {
		notes = append(notes, "nothing says how images are resized, so the usual way is assumed: the shorter side is resized, and a centre crop takes 7/8 of it")
	}
	to.Preprocess.Grey, to.Preprocess.BGR = to.Channels == 1, c.BGR
	return notes, nil
}

// suits reports whether the graph can take images that are prepared as c says.
func (in *Input) suits(c prepare.Choice) error {
	h, w := in.Height, in.Width
	switch {
	case c.Size > 0 && (h > 0 && h != c.Size || w > 0 && w != c.Size):
		return fmt.Errorf("the graph takes images of %dx%d, not %dx%d", cmp.Or(w, h), cmp.Or(h, w), c.Size, c.Size)
	case in.Bytes && (c.Mean != nil || c.Std != nil || c.Scale != 0):
		return fmt.Errorf("the graph takes uint8 images and normalises them itself, so no scale, mean or std can be given for it")
	}
	return nil
}

// size sets the size of the model's input.
func size(to *prepare.Input, e models.Entry, c prepare.Choice, in Input) error {
	h, w := in.Height, in.Width
	if h == 0 || w == 0 { // an open side is as long as the other
		h, w = cmp.Or(h, w), cmp.Or(w, h)
	}
	switch {
	case h > 0:
	case c.Size > 0:
		h, w = c.Size, c.Size
	case e.Height == 0 || e.Width == 0:
		return &UnsaidError{Why: "the graph takes images of any size, and nothing says for which size it was made", Fields: []string{"Size"}}
	default:
		h, w = e.Height, e.Width
	}
	if e.FixedSize && (h != e.Height || w != e.Width) {
		return fmt.Errorf("%s takes only %dx%d images, not %dx%d", e.Name, e.Height, e.Width, h, w)
	}
	to.Height, to.Width = h, w
	return nil
}

// normalise sets the mean and std: c's, or else the model's.
func normalise(to *prepare.Input, e models.Entry, c prepare.Choice, in Input) (notes []string, err error) {
	p := &to.Preprocess
	if in.Bytes {
		return nil, in.normalise(p)
	}
	p.Mean, p.Std, p.Scale = c.Mean, c.Std, c.Scale
	switch {
	case c.Mean != nil || c.Std != nil:
		return nil, nil
	case e.Name == GraphArchitecture:
		return nil, &UnsaidError{Why: "the graph is none of the networks known by name, and nothing says with which mean and std its images are normalised (0 and 1 if they are not)", Fields: []string{"Mean", "Std"}}
	case c.Scale != 0 && c.Scale != prepare.UnitScale && e.Preprocess.Mean != nil:
		return nil, &UnsaidError{Why: fmt.Sprintf("the mean and std of %s are for bytes over 255, not for bytes times %.6g", e.Name, c.Scale), Fields: []string{"Mean", "Std"}}
	case e.Preprocess.Mean == nil:
		return nil, nil
	case len(e.Preprocess.Mean) != to.Channels:
		return []string{fmt.Sprintf("images are not normalised, as %s has a mean and std for %d channels, not for %d; ModelConfig.Mean and ModelConfig.Std give others",
			e.Name, len(e.Preprocess.Mean), to.Channels)}, nil
	}
	p.Mean, p.Std = slices.Clone(e.Preprocess.Mean), slices.Clone(e.Preprocess.Std)
	if c.BGR {
		slices.Reverse(p.Mean)
		slices.Reverse(p.Std)
	}
	return nil, nil
}

// normalise describes in p how a graph that takes uint8 images normalises them.
func (in *Input) normalise(p *prepare.Steps) error {
	p.Scale, p.Mean, p.Std = 1, nil, nil
	for i, scale := range in.Scale {
		if !(scale > 0) {
			return fmt.Errorf("the graph turns a byte v of channel %[3]d into %[1]g·v%+[2]g, but the factor must be above 0", scale, in.Shift[i], i)
		}
		p.Mean, p.Std = append(p.Mean, -in.Shift[i]/scale), append(p.Std, 1/scale)
	}
	return nil
}

// namesFor returns class names for a model if no file has any: ImageNet's names if the
// model is one for ImageNet, or else "class 0" and so on.
func namesFor(m models.Match) (names, notes []string) {
	names = models.ImageNetClasses()
	if n := m.Config.Classes; n == len(names) && (m.Entry.Classes == n || m.Entry.Name == GraphArchitecture) {
		return names, []string{"the 1000 classes have ImageNet's names in the usual order, as the file has no class names"}
	}
	names = nil
	for i := range m.Config.Classes {
		names = append(names, fmt.Sprintf("class %d", i))
	}
	return names, []string{fmt.Sprintf("the %d classes are numbered, as the file has no class names", m.Config.Classes)}
}
