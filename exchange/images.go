package exchange

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/prepare"
)

// UnsaidError is what a file of weights leaves open, or says in a way that cannot be
// followed, and no ModelConfig settles.
type UnsaidError struct {
	Path   string
	Why    string
	Fields []string // of ModelConfig that settle it
	Any    bool     // one of them is enough
}

func (e *UnsaidError) Error() string { return e.With(e.Fields, "in ModelConfig") }

// With is the error with other names for the fields, such as flags, and where they are.
func (e *UnsaidError) With(names []string, where string) string {
	and := " and "
	if e.Any {
		and = " or "
	}
	text := fmt.Sprintf("%s; give %s", e.Why, strings.Join(names, and))
	if e.Path != "" {
		text = e.Path + ": " + text
	}
	return strings.TrimSpace(text + " " + where)
}

// at puts the file before an error.
func at(path string, err error) error {
	if e := new(UnsaidError); errors.As(err, &e) {
		return &UnsaidError{Path: path, Why: e.Why, Fields: e.Fields, Any: e.Any}
	}
	return fmt.Errorf("%s: %w", path, err)
}

// choice is what c says of how images are prepared.
func (c ModelConfig) choice() prepare.Choice {
	return prepare.Choice{
		Size: c.Size, Resize: c.Resize, Crop: c.Crop, Squash: c.Squash, Interpolation: c.Interpolation,
		Scale: c.Scale, Mean: c.Mean, Std: c.Std, BGR: c.BGR,
	}
}

// Restate returns info as it is with what c says of images and classes in place of what
// info says. Of a graph, net, images keep the size that it takes.
func Restate(info checkpoint.Model, net *Network, c ModelConfig) (checkpoint.Model, error) {
	if c.Model != "" && c.Model != info.Architecture {
		return info, fmt.Errorf("says that it is %s, not %s", info.Architecture, c.Model)
	}
	if c.Classes != nil {
		if n := len(info.Classes); n != len(c.Classes) {
			return info, fmt.Errorf("tells %d classes apart, and %d names were given", n, len(c.Classes))
		}
		info.Classes = c.Classes
	}
	choice := c.choice()
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
	if info.Height != info.Width && c.Size == 0 { // which no Size says
		in.Height, in.Width = info.Height, info.Width
	}
	choice = choice.Over(prepare.ChoiceOf(info.Input))
	info.Preprocess = prepare.Steps{}
	if _, err := complete(&info.Input, e, choice, in); err != nil {
		return info, err
	}
	return settled(info)
}

// beside returns what c says of classes and images, with what it leaves open taken from the
// files beside the weights. What these say and neither can be done nor is said otherwise is
// an error.
func (c ModelConfig) beside(path string, channels, classes int, in Input) (names []string, choice prepare.Choice, notes []string, err error) {
	choice = c.choice()
	if err := in.suits(choice); err != nil {
		return nil, choice, nil, err
	}
	d, notes, open := described(path)
	odd, more := d.fit(channels, classes)
	for _, t := range append(open, more...) {
		if !t.settled(choice, in) {
			return nil, choice, nil, &UnsaidError{Why: t.text, Fields: t.fields, Any: t.any}
		}
	}
	if names = c.Classes; names == nil {
		names = d.classes
	}
	return names, choice.Over(d.images), append(notes, odd...), nil
}

// complete fills in the size of the input of a model of e, and how images become it: the size
// is the one that a graph takes, or c's, or the model's own.
func complete(to *prepare.Input, e models.Entry, c prepare.Choice, in Input) (notes []string, err error) {
	unsized, unnormal := size(to, e, c, in), error(nil)
	if notes, unnormal = normalise(to, e, c, in); unsized != nil || unnormal != nil {
		return nil, both(unsized, unnormal)
	}
	var guessed bool
	if *to, guessed = c.Sized(*to, e.Input()); guessed {
		notes = append(notes, "nothing says how images come to their size, so it is taken to be as of most: the shorter side is resized, and the middle, 7/8 of it, cut out")
	}
	to.Preprocess.Grey, to.Preprocess.BGR = to.Channels == 1, c.BGR
	return notes, nil
}

// both is one error of two, so that what is open is asked for at once.
func both(a, b error) error {
	x, y := new(UnsaidError), new(UnsaidError)
	if !errors.As(a, &x) || !errors.As(b, &y) {
		return cmp.Or(a, b)
	}
	return &UnsaidError{Why: x.Why + "; " + y.Why, Fields: slices.Concat(x.Fields, y.Fields)}
}

// suits holds what is asked for to what a graph takes.
func (in *Input) suits(c prepare.Choice) error {
	h, w := in.Height, in.Width
	switch {
	case c.Size > 0 && (h > 0 && h != c.Size || w > 0 && w != c.Size):
		return fmt.Errorf("the graph takes images of %dx%d, not of %dx%d", cmp.Or(w, h), cmp.Or(h, w), c.Size, c.Size)
	case in.Bytes && (c.Mean != nil || c.Std != nil || c.Scale != 0):
		return fmt.Errorf("the graph takes bytes and makes numbers of them itself, so that no scale, mean or std can be given for it")
	}
	return nil
}

// size settles how large the model's input is.
func size(to *prepare.Input, e models.Entry, c prepare.Choice, in Input) error {
	h, w := in.Height, in.Width
	if h == 0 || w == 0 { // one that is open is as the other
		h, w = cmp.Or(h, w), cmp.Or(w, h)
	}
	switch {
	case h > 0:
	case c.Size > 0:
		h, w = c.Size, c.Size
	case e.Height == 0 || e.Width == 0:
		return &UnsaidError{Why: "the graph takes images of any size, and nothing says which one it was made for", Fields: []string{"Size"}}
	default:
		h, w = e.Height, e.Width
	}
	if e.FixedSize && (h != e.Height || w != e.Width) {
		return fmt.Errorf("%s takes only %dx%d images, not %dx%d", e.Name, e.Height, e.Width, h, w)
	}
	to.Height, to.Width = h, w
	return nil
}

// normalise takes the mean and std of c, else the model's.
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
		return nil, &UnsaidError{Why: "the graph is none of the networks known by name, and nothing says by which mean and std images are normalised for it (0 and 1 where they are not)", Fields: []string{"Mean", "Std"}}
	case c.Scale != 0 && c.Scale != prepare.UnitScale && e.Mean != nil:
		return nil, &UnsaidError{Why: fmt.Sprintf("the mean and std of %s are for bytes over 255, not for bytes times %.6g", e.Name, c.Scale), Fields: []string{"Mean", "Std"}}
	case e.Mean == nil:
		return nil, nil
	case len(e.Mean) != to.Channels:
		return []string{fmt.Sprintf("images are not normalised, as %s has a mean and std for %d channels, not for %d; ModelConfig.Mean and ModelConfig.Std give others",
			e.Name, len(e.Mean), to.Channels)}, nil
	}
	p.Mean, p.Std = slices.Clone(e.Mean), slices.Clone(e.Std)
	if c.BGR {
		slices.Reverse(p.Mean)
		slices.Reverse(p.Std)
	}
	return nil, nil
}

// normalise says in p what a graph that takes bytes makes of them.
func (in *Input) normalise(p *prepare.Steps) error {
	p.Scale, p.Mean, p.Std = 1, nil, nil
	for i, scale := range in.Scale {
		if !(scale > 0) {
			return fmt.Errorf("the graph makes %g·v%+g of a byte v in channel %d, where a scale above 0 is possible", scale, in.Shift[i], i)
		}
		p.Mean, p.Std = append(p.Mean, -in.Shift[i]/scale), append(p.Std, 1/scale)
	}
	return nil
}

// namesFor are the names of a model's classes where no file has any: ImageNet's, of a net
// for as many that was made for them or is of no name, and else their numbers.
func namesFor(m models.Match) (names, notes []string) {
	names = models.ImageNetClasses()
	if n := m.Config.Classes; n == len(names) && (m.Entry.Classes == n || m.Entry.Name == GraphArchitecture) {
		return names, []string{"the 1000 classes have the names of ImageNet's in the usual order, as the file has no names for them"}
	}
	names = nil
	for i := range m.Config.Classes {
		names = append(names, fmt.Sprintf("class %d", i))
	}
	return names, []string{fmt.Sprintf("the %d classes are numbered, as the file has no names for them", m.Config.Classes)}
}
