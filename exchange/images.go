package exchange

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/models"
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

// over is c with what it leaves open taken from d.
func (c ModelConfig) over(d ModelConfig) ModelConfig {
	if c.Resize == 0 && c.Crop == 0 && !c.Squash {
		c.Squash, c.Resize, c.Crop = d.Squash, d.Resize, d.Crop
		c.saidFor = cmp.Or(d.saidFor, d.Size)
	}
	c.Size, c.Interpolation, c.Output = cmp.Or(c.Size, d.Size), cmp.Or(c.Interpolation, d.Interpolation), cmp.Or(c.Output, d.Output)
	if c.Classes == nil {
		c.Classes = d.Classes
	}
	if c.Mean == nil && c.Std == nil && c.Scale == 0 { // which go together
		c.Mean, c.Std, c.Scale = d.Mean, d.Std, d.Scale
	}
	c.Scale = cmp.Or(c.Scale, d.Scale)
	c.BGR = c.BGR || d.BGR
	return c
}

// configOf is what a model says, as settings that others can go before.
func configOf(m checkpoint.Model) ModelConfig {
	p := m.Preprocess
	c := ModelConfig{
		Classes: m.Classes, Output: m.Output, Size: m.Height, Resize: p.ResizeShorter, Squash: p.ResizeShorter == 0,
		Interpolation: p.Interpolation, Mean: p.Mean, Std: p.Std, Scale: p.Scale, BGR: p.BGR,
	}
	if c.Mean == nil { // which is said, and not open
		c.Mean = make([]float64, m.Channels)
	}
	if c.Std == nil {
		c.Std = slices.Repeat([]float64{1}, m.Channels)
	}
	return c
}

// prepares reports whether c says anything of how images are prepared.
func (c ModelConfig) prepares() bool {
	return c.Resize != 0 || c.Crop != 0 || c.Size != 0 || c.Interpolation != "" || c.Mean != nil || c.Std != nil || c.Squash || c.Scale != 0 || c.BGR
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
	if !c.prepares() {
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
	if err := in.suits(c); err != nil {
		return info, err
	}
	if info.Height != info.Width && c.Size == 0 { // which no Size says
		in.Height, in.Width = info.Height, info.Width
	}
	c = c.over(configOf(info))
	info.Preprocess = checkpoint.Preprocess{}
	if _, err := prepare(&info, e, c, in); err != nil {
		return info, err
	}
	return settled(info)
}

// beside is c with what it leaves open taken from the files beside weights, and what these
// say and neither can be done nor is said otherwise is an error.
func (c ModelConfig) beside(path string, channels, classes int, in Input) (ModelConfig, []string, error) {
	if err := in.suits(c); err != nil {
		return c, nil, err
	}
	d, notes, open := described(path)
	d, odd, more := d.fitting(channels, classes)
	for _, t := range append(open, more...) {
		if !t.settled(c, in) {
			return c, nil, &UnsaidError{Why: t.text, Fields: t.fields, Any: t.any}
		}
	}
	return c.over(d), append(notes, odd...), nil
}

// prepare says how images become the model's input: as torchvision's presets do where the
// model has figures for that, else resized to its size. The size is the one that a graph
// takes, or c's, or the model's own; with another than its own the shorter side is resized
// in proportion, rounded down: to 256·size/224 where the model cuts 224 out of 256.
func prepare(info *checkpoint.Model, e models.Entry, c ModelConfig, in Input) (notes []string, err error) {
	unsized, unnormal := size(info, e, c, in), error(nil)
	if notes, unnormal = normalise(info, e, c, in); unsized != nil || unnormal != nil {
		return nil, both(unsized, unnormal)
	}
	p := &info.Preprocess
	p.Grey, p.BGR = info.Channels == 1, c.BGR
	p.Interpolation = cmp.Or(c.Interpolation, e.Interpolation, "bilinear")
	graph := e.Name == GraphArchitecture
	oblong := info.Height != info.Width
	switch side := info.Height; {
	case c.Squash, c.Resize == 0 && c.Crop == 0 && (oblong || !graph && e.Mean == nil && e.Resize == 0):
		if !oblong {
			p.Resize = side
		}
	case c.Resize > 0:
		p.ResizeShorter = c.Resize
		if c.saidFor > 0 && c.saidFor != side {
			p.ResizeShorter = c.Resize * side / c.saidFor
		}
	case c.Crop > 0:
		p.ResizeShorter = int(math.Floor(float64(side) / c.Crop))
	case e.Resize > 0:
		p.ResizeShorter = e.Resize * side / e.Height
	case graph:
		p.ResizeShorter = side * 8 / 7
		notes = append(notes, "nothing says how images come to their size, so it is taken to be as of most: the shorter side is resized, and the middle, 7/8 of it, cut out")
	default:
		p.ResizeShorter = side
	}
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
func (in *Input) suits(c ModelConfig) error {
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
func size(info *checkpoint.Model, e models.Entry, c ModelConfig, in Input) error {
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
	info.Height, info.Width = h, w
	return nil
}

// normalise takes the mean and std of c, else the model's.
func normalise(info *checkpoint.Model, e models.Entry, c ModelConfig, in Input) (notes []string, err error) {
	p := &info.Preprocess
	if in.Bytes {
		return nil, in.normalise(p)
	}
	p.Mean, p.Std, p.Scale = c.Mean, c.Std, c.Scale
	switch {
	case c.Mean != nil || c.Std != nil:
		return nil, nil
	case e.Name == GraphArchitecture:
		return nil, &UnsaidError{Why: "the graph is none of the networks known by name, and nothing says by which mean and std images are normalised for it (0 and 1 where they are not)", Fields: []string{"Mean", "Std"}}
	case c.Scale != 0 && c.Scale != 1.0/255 && e.Mean != nil:
		return nil, &UnsaidError{Why: fmt.Sprintf("the mean and std of %s are for bytes over 255, not for bytes times %.6g", e.Name, c.Scale), Fields: []string{"Mean", "Std"}}
	case e.Mean == nil:
		return nil, nil
	case len(e.Mean) != info.Channels:
		return []string{fmt.Sprintf("images are not normalised, as %s has a mean and deviation for %d channels, not for %d; --mean and --std give others",
			e.Name, len(e.Mean), info.Channels)}, nil
	}
	p.Mean, p.Std = slices.Clone(e.Mean), slices.Clone(e.Std)
	if c.BGR {
		slices.Reverse(p.Mean)
		slices.Reverse(p.Std)
	}
	return nil, nil
}

// normalise says in p what a graph that takes bytes makes of them.
func (in *Input) normalise(p *checkpoint.Preprocess) error {
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
