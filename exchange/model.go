package exchange

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/prepare"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights"
)

// ModelConfig says what a file of weights does not. Zero values are what a file that
// Residual wrote says of itself, or what the files beside it say, config.json and
// preprocessor_config.json as timm and transformers write them, and where these are
// silent, those of the model.
type ModelConfig struct {
	Model   string   // a name the registry knows; empty: found by names and shapes
	Classes []string // in the order of the logits; nil: "class 0", "class 1" ...

	// Output is the output of an ONNX graph that the logits are, where it has several;
	// empty: the first that is [N, classes].
	Output string

	// How images are prepared: see prepare.Choice. Where only Size is given, the shorter side
	// keeps the proportion to it that the file or the model says.
	Resize        int     // of the shorter side
	Crop          float64 // in place of Resize: it is Size/Crop, rounded down, as timm's crop_pct
	Size          int     // both sides of the middle that is cut out
	Interpolation string  // one of prepare.Interpolations
	Mean, Std     []float64
	Squash        bool    // both sides are resized to Size, and nothing is cut out
	Scale         float64 // of a byte, before Mean and Std: 1 leaves 0 to 255; 0 means the file's, or 1/255
	BGR           bool    // the channels are blue, green and red, in Mean and Std too

	// Zeros says where the shortcuts of residual nets for CIFAR, which have no parameters,
	// add channels of zeros: ZerosLast, which is taken where it is empty, or ZerosBoth for
	// half of them before the others. Weights do not tell. An ONNX graph does.
	Zeros string

	// Ignore lists tensors that are left out, by their names in the file or what these
	// begin with: criterion stands for criterion.weight, too.
	Ignore []string
}

// FromWeights makes a model of Residual's own out of a file of weights of any
// format, or of shards by their index or their folder, and tells what it had to choose.
// The model must have each of the file's tensors, PyTorch's counters of batches and what
// clearly belongs to a loss or a metric aside; the error names the nearest model and how
// the file differs from it.
//
// Names and shapes do not tell everything that a network computes. What config.json beside
// the weights, or the file itself, says of the architecture must be what the model computes;
// the error names the file, the entry and its value.
func FromWeights(path string, c ModelConfig) (m nn.Module, info checkpoint.Model, notes []string, err error) {
	return openModel(path, c, false)
}

// OpenModel is FromWeights that takes any ONNX graph: one that is none of the models known
// by name stays as it is, a *Network, and its architecture is GraphArchitecture. SaveGraph
// writes a file of it that says the rest. What neither the file nor c says is an error: see
// UnsaidError.
func OpenModel(path string, c ModelConfig) (m nn.Module, info checkpoint.Model, notes []string, err error) {
	return openModel(path, c, true)
}

func openModel(path string, c ModelConfig, graphs bool) (m nn.Module, info checkpoint.Model, notes []string, err error) {
	fail := func(err error) (nn.Module, checkpoint.Model, []string, error) {
		return nil, checkpoint.Model{}, nil, at(path, err)
	}
	path, err = weights.Locate(path)
	if err != nil {
		return nil, checkpoint.Model{}, nil, err
	}
	format, err := weights.Detect(path)
	if err != nil {
		return nil, checkpoint.Model{}, nil, err
	}
	var net held
	switch {
	case format != weights.ONNX:
		net, err = fromTensors(path, c)
	case c.Zeros != "" || c.Ignore != nil:
		err = field.Errorf("%s: is a graph, which says itself what it computes; leave {Zeros} and {Ignore} out", path)
	default:
		net, err = fromONNX(path, c, graphs)
	}
	if err != nil {
		return nil, checkpoint.Model{}, nil, err
	}
	notes = net.notes
	config := net.match.Config
	own, told := ownWord(net.metadata, net.match)
	if err := net.input.suits(c.choice()); err != nil {
		return fail(err)
	}
	if told && c.choice().IsZero() {
		info = own
		if c.Classes != nil {
			info.Classes = c.Classes
		}
		info.Architecture, info.Blocks, info.Epoch, info.Metrics = net.match.Entry.Name, config.Blocks, 0, nil
		info.Residual, info.Go = "", ""
		notes = append(notes, ownWordNote)
	} else {
		names, images, more := c.Classes, c.choice(), []string(nil)
		if told {
			images, notes = images.Over(prepare.ChoiceOf(own.Input)), append(notes, ownWordNote)
			c.Output = cmp.Or(c.Output, own.Output)
			if names == nil {
				names = own.Classes
			}
		} else if names, images, more, err = c.beside(path, config.Channels, config.Classes, net.input); err != nil {
			return fail(err)
		}
		notes = append(notes, more...)
		if names == nil {
			names, more = namesFor(net.match)
			notes = append(notes, more...)
		}
		info = checkpoint.Model{Architecture: net.match.Entry.Name, Blocks: config.Blocks, Classes: names, Output: c.Output, Input: prepare.Input{Channels: config.Channels}}
		if more, err = complete(&info.Input, net.match.Entry, images, net.input); err != nil {
			return fail(err)
		}
		notes = append(notes, more...)
	}
	if n := len(info.Classes); n != config.Classes {
		return fail(fmt.Errorf("tells %d classes apart, and %d names were given", config.Classes, n))
	}
	if info.Architecture != GraphArchitecture {
		info.Output = ""
	}
	if info, err = settled(info); err != nil {
		return fail(err)
	}
	return net.module, info, notes, nil
}

const ownWordNote = "what was not given is as the file says itself: the names of the classes, and how images are prepared"

// ownWord is what a file says of itself that Residual wrote, as far as it is true of the
// net that was found.
func ownWord(metadata map[string]string, match models.Match) (own checkpoint.Model, ok bool) {
	own, err := checkpoint.ModelIn(metadata)
	e := match.Entry
	ok = err == nil && len(own.Classes) == match.Config.Classes && own.Channels == match.Config.Channels &&
		!(e.FixedSize && (own.Height != e.Height || own.Width != e.Width))
	return own, ok
}

// settled is info as a file would give it back, if such a model can be.
func settled(info checkpoint.Model) (checkpoint.Model, error) {
	metadata, err := info.Metadata()
	if err != nil {
		return info, err
	}
	return checkpoint.ModelIn(metadata)
}

// held is what a file of weights holds.
type held struct {
	module   nn.Module
	match    models.Match
	metadata map[string]string
	notes    []string
	input    Input // what an ONNX graph says of its images; zero of other files
}

func notThat(is models.Match, model string) error {
	return fmt.Errorf("the graph is that of %s, not of %s", is.Title(), model)
}

// recognised is the model that computes what the ONNX graph at path does.
func recognised(path, likely string) (h held, err error) {
	net, err := Open(path)
	if err != nil {
		return h, err
	}
	h.metadata = net.Metadata
	if h.match, h.module, err = Recognise(net, likely); err != nil {
		return h, fmt.Errorf("%s: %w", path, err)
	}
	return h, nil
}

func fromTensors(path string, c ModelConfig) (h held, err error) {
	w, err := openWeights(path, c.Ignore, false)
	if err != nil {
		return h, err
	}
	if h.match, err = w.choose(c.Model); err != nil {
		return h, fmt.Errorf("%s: %w", path, err)
	}
	var notes []string
	if h.module, notes, err = w.fill(h.match); err != nil {
		return h, fmt.Errorf("%s: not the weights of %s: %w%s", path, h.match.Entry.Name, err, w.called())
	}
	if err := w.contradicted(h.match); err != nil {
		return h, fmt.Errorf("%s: %w", path, err)
	}
	if w.chosen != "" {
		h.notes = append(h.notes, w.chosen)
	}
	h.metadata, h.notes = w.Metadata, append(h.notes, notes...)
	_, err = checkpoint.ModelIn(w.Metadata)
	if err = h.zeros(c.Zeros, err == nil); err != nil {
		return h, fmt.Errorf("%s: %w", path, err)
	}
	return h, nil
}

// choose finds the model of a name, or the only one that fits.
func (w *Weights) choose(model string) (models.Match, error) {
	if model != "" {
		e, err := models.Lookup(model)
		if err != nil {
			return models.Match{}, err
		}
		return w.configured(e)
	}
	found := w.Identify()
	if len(found) > 1 { // unless a file at hand says which
		if agreed := slices.DeleteFunc(slices.Clone(found), func(m models.Match) bool { return !w.named(m) }); len(agreed) == 1 {
			found = agreed
		}
	}
	switch {
	case len(found) == 1 && found[0].Headless:
		return models.Match{}, w.headless(found[0], "")
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		if slices.ContainsFunc(found, func(m models.Match) bool { return widens(m.Entry) }) {
			return models.Match{}, field.Errorf("its names and shapes are those of %s, which differ in what they compute; say which with {Model}, and with {Zeros} whether shortcuts add their channels of zeros last or on both sides", foundNames(found))
		}
		return models.Match{}, field.Errorf("its names and shapes are those of %s, which differ in what they compute; say which with {Model}", foundNames(found))
	}
	return models.Match{}, w.unknown()
}

// headless says what a backbone lacks, and what makes a classifier of it. model is the name
// to give where the file does not say it.
func (w *Weights) headless(m models.Match, model string) error {
	head := m.Entry.Head
	lacks := fmt.Sprintf("holds no %s.weight and no %s.bias: it is %s, a backbone that tells no classes apart", head, head, m.Title())
	if model != "" {
		return field.Errorf("%s; a training with {Weights} %s and {Model} %s gives it a new last layer for the classes of {Data}", lacks, w.Path, model)
	}
	return field.Errorf("%s; a training with {Weights} %s gives it a new last layer for the classes of {Data}", lacks, w.Path)
}

// fill makes the model that matches and gives it the weights, which are read here, as
// only now it is known that they are wanted.
func (w *Weights) fill(match models.Match) (nn.Module, []string, error) {
	c := match.Config
	c.Blank = true
	m := match.Entry.New(c)
	n := w.naming(m)
	if err := w.differs(m, w.shapes(n), n); err != nil {
		return nil, nil, err
	}
	if w.tensors == nil {
		f, err := weights.Open(w.Path)
		if err != nil {
			return nil, nil, err
		}
		defer f.Close()
		if err := w.read(f); err != nil {
			return nil, nil, err
		}
	}
	return m, n.notes, nn.TakeStateDict(m, w.in(n))
}

// configured reads off the shapes what the model's channels, classes and blocks are.
// Those of a net that is not the model's are compared with the model as far as they go.
func (w *Weights) configured(e models.Entry) (match models.Match, err error) {
	for _, n := range w.namings {
		shapes := w.shapes(n)
		m, failed := e.Configured(shapes)
		if failed != nil {
			err = cmp.Or(err, failed) // of the names as they stand
			continue
		}
		if has, n := numbers(shapes), m.Count(); n > 2*has { // nor is a large net made in vain
			return match, fmt.Errorf("%s has %d parameters, and the file only %d numbers; %w", e.Name, n, has, w.whose())
		}
		if !m.Fits(shapes) {
			err = nil
			match = m
			continue
		}
		if m.Headless {
			return match, w.headless(m, e.Name)
		}
		return m, nil
	}
	if match.Entry.Name != "" {
		return match, nil // what differs is said where it is filled
	}
	if len(w.Identify()) > 0 {
		return match, fmt.Errorf("%w; %w", err, w.whose())
	}
	c, n := e.Nearest(w.shapes(w.namings[0])), w.namings[0]
	if differs := w.differsFrom(c, n); differs != nil {
		err = fmt.Errorf("%w; it differs from %s in %w%s", err, c.Title(), differs, w.called())
	}
	return match, err
}

func numbers(shapes map[string]tensor.Shape) (n int64) {
	for _, s := range shapes {
		n += int64(s.Numel())
	}
	return n
}
