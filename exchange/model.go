package exchange

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/prepare"
	"github.com/residual-ml/residual/task"
	"github.com/residual-ml/residual/weights"
)

// FromWeights returns the model of the registry that the weights in an open file belong to. The
// file may have any format, and may be closed afterwards. notes tell what had to be chosen. Every
// tensor of the file must have its place in the model, except PyTorch's batch counters
// (num_batches_tracked) and tensors that clearly belong to a loss or a metric. The error names
// the nearest model and how the file differs from it.
//
// Names and shapes do not determine everything that a network computes. So FromWeights also
// compares what the file, and config.json beside it, say about the architecture. If they
// contradict the model, the error names the file, the entry and its value.
func FromWeights(f *weights.File, c ModelConfig) (m nn.Module, info checkpoint.Model, notes []string, err error) {
	return fromFile(f, c, false)
}

// FromFile is FromWeights for any ONNX graph, too. A graph that none of the registry's
// models computes is returned as a *Network whose architecture is GraphArchitecture;
// SaveGraph writes such a model. If neither the file nor c tells how images are prepared or
// which output holds the logits, the error is an UnsaidError.
func FromFile(f *weights.File, c ModelConfig) (m nn.Module, info checkpoint.Model, notes []string, err error) {
	return fromFile(f, c, true)
}

// fromFile is FromFile if graphs is true, and FromWeights if it is not.
func fromFile(f *weights.File, c ModelConfig, graphs bool) (m nn.Module, info checkpoint.Model, notes []string, err error) {
	fail := func(err error) (nn.Module, checkpoint.Model, []string, error) {
		return nil, checkpoint.Model{}, nil, withPath(f.Path, err)
	}
	var net loadedModel
	switch {
	case f.Format != weights.ONNX:
		net, err = fromTensors(f, c)
	case c.Zeros != "" || c.Ignore != nil:
		err = field.Errorf("%s: is a graph, which defines what it computes; leave {Zeros} and {Ignore} out", f.Path)
	default:
		net, err = fromONNX(f, c, graphs)
	}
	if err != nil {
		return nil, checkpoint.Model{}, nil, err
	}
	notes = net.notes
	config := net.match.Config
	own, hasOwn := ownDescription(net.metadata, net.match)
	if err := net.input.suits(c.Images); err != nil {
		return fail(err)
	}
	if of := own.Targets(); hasOwn && of.Task != task.Classes && c.Classes != nil {
		return fail(field.Errorf("%s predicts the %s %s; leave {Classes} out", f.Path, of.Task, strings.Join(of.Names, ", ")))
	}
	if hasOwn && c.Images.IsZero() {
		info = own
		if c.Classes != nil {
			info.Classes = c.Classes
		}
		info.Architecture, info.Blocks, info.Epoch, info.Metrics = net.match.Entry.Name, config.Blocks, 0, nil
		info.Residual, info.Go = "", ""
		notes = append(notes, ownDescriptionNote)
	} else {
		names, images, more := c.Classes, c.Images, []string(nil)
		if hasOwn {
			images, notes = images.Over(prepare.ChoiceOf(own.Input)), append(notes, ownDescriptionNote)
			c.Output = cmp.Or(c.Output, own.Output)
			if names == nil {
				names = own.Names()
			}
		} else if names, images, more, err = c.beside(f.Path, config.Channels, config.Classes, net.input); err != nil {
			return fail(err)
		}
		notes = append(notes, more...)
		if names == nil {
			names, more = namesFor(net.match)
			notes = append(notes, more...)
		}
		info = checkpoint.Model{Architecture: net.match.Entry.Name, Blocks: config.Blocks, Output: c.Output, Input: prepare.Input{Channels: config.Channels}}
		of := own.Targets()
		if of.Names = names; !hasOwn {
			of = task.Targets{Names: names}
		}
		info = info.Answering(of)
		if more, err = complete(&info.Input, net.match.Entry, images, net.input); err != nil {
			return fail(err)
		}
		notes = append(notes, more...)
	}
	if n := len(info.Names()); n != config.Classes {
		return fail(fmt.Errorf("has %d classes, but %d names were given", config.Classes, n))
	}
	if info.Architecture != GraphArchitecture {
		info.Output = ""
	}
	if info, err = readBack(info); err != nil {
		return fail(err)
	}
	return net.module, info, notes, nil
}

const ownDescriptionNote = "everything that was not given is taken from the file itself: what the model predicts and how images are prepared"

// fromTensors finds the model of a file of named tensors and fills it.
func fromTensors(f *weights.File, c ModelConfig) (h loadedModel, err error) {
	path := f.Path
	w, err := listWeights(f, c.Ignore)
	if err != nil {
		return h, err
	}
	if h.match, err = w.chooseModel(c.Model); err != nil {
		return h, fmt.Errorf("%s: %w", path, err)
	}
	var notes []string
	if h.module, notes, err = w.fill(h.match); err != nil {
		return h, fmt.Errorf("%s: not the weights of %s: %w%s", path, h.match.Entry.Name, err, w.statedName())
	}
	if err := w.contradicted(h.match); err != nil {
		return h, fmt.Errorf("%s: %w", path, err)
	}
	if w.dictNote != "" {
		h.notes = append(h.notes, w.dictNote)
	}
	if text := w.stemNote(h.match); text != "" && c.Model == "" {
		h.notes = append(h.notes, text)
	}
	h.metadata, h.notes = w.Metadata, append(h.notes, notes...)
	_, err = checkpoint.ModelIn(w.Metadata)
	if err = h.zeros(c.Zeros, err == nil); err != nil {
		return h, fmt.Errorf("%s: %w", path, err)
	}
	return h, nil
}

// chooseModel returns the model of a given name, or else the only one that fits the tensors.
func (w *Weights) chooseModel(model string) (models.Match, error) {
	if model != "" {
		e, err := models.Lookup(model)
		if err != nil {
			return models.Match{}, err
		}
		return w.configured(e)
	}
	found := w.Identify()
	if len(found) > 1 { // a file beside the weights may say which
		if agreed := slices.DeleteFunc(slices.Clone(found), func(m models.Match) bool { return !w.claimsName(m) }); len(agreed) == 1 {
			found = agreed
		}
	}
	switch {
	case len(found) == 1 && found[0].Headless:
		return models.Match{}, w.headlessError(found[0], "")
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		if slices.ContainsFunc(found, func(m models.Match) bool { return widens(m.Entry) }) {
			return models.Match{}, field.Errorf("its names and shapes are those of %s, which differ in what they compute; say which with {Model}, and with {Zeros} whether shortcuts add their channels of zeros last or on both sides", joinTitles(found))
		}
		return models.Match{}, field.Errorf("its names and shapes are those of %s, which differ in what they compute; say which with {Model}", joinTitles(found))
	}
	return models.Match{}, w.unknownError()
}

// headlessError is the error of a backbone: it says what is missing and how to make a classifier.
// model is the name to give, if the file does not name the model.
func (w *Weights) headlessError(m models.Match, model string) error {
	head := m.Entry.Head
	lacks := fmt.Sprintf("holds no %s.weight and no %s.bias: it is %s, a backbone without a classifier", head, head, m.Title())
	if model != "" {
		return field.Errorf("%s; a training with {Weights} %s and {Model} %s gives it a new last layer for the classes of {Data}", lacks, w.Path, model)
	}
	return field.Errorf("%s; a training with {Weights} %s gives it a new last layer for the classes of {Data}", lacks, w.Path)
}

// fill makes the model of a match and gives it the weights. It reads the tensors only now,
// after names and shapes have turned out to fit.
func (w *Weights) fill(match models.Match) (nn.Module, []string, error) {
	c := match.Config
	c.Blank = true
	m := match.Entry.New(c)
	n := w.naming(m)
	if err := w.differs(m, w.shapes(n), n); err != nil {
		return nil, nil, err
	}
	if w.tensors == nil {
		if err := w.read(); err != nil {
			return nil, nil, err
		}
	}
	return m, n.notes, nn.TakeStateDict(m, w.tensorsUnder(n))
}

// configured reads the number of channels, classes and blocks of a model off the tensors'
// shapes. If the tensors do not fit, it returns the match whose differences are to be shown.
func (w *Weights) configured(e models.Entry) (match models.Match, err error) {
	for _, n := range w.namings {
		shapes := w.shapes(n)
		m, failed := e.Configured(shapes)
		if failed != nil {
			err = cmp.Or(err, failed) // keep the error of the file's own names
			continue
		}
		if has, n := countElements(shapes), m.Count(); n > 2*has { // do not build a large net that cannot fit
			return match, fmt.Errorf("%s has %d parameters, but the file has only %d numbers; %w", e.Name, n, has, w.identity())
		}
		if !m.Fits(shapes) {
			err = nil
			match = m
			continue
		}
		if m.Headless {
			return match, w.headlessError(m, e.Name)
		}
		return m, nil
	}
	if match.Entry.Name != "" {
		return match, nil // fill reports the differences
	}
	if len(w.Identify()) > 0 {
		return match, fmt.Errorf("%w; %w", err, w.identity())
	}
	c, n := e.Nearest(w.shapes(w.namings[0])), w.namings[0]
	if differs := w.differsFrom(c, n); differs != nil {
		err = fmt.Errorf("%w; it differs from %s in %w%s", err, c.Title(), differs, w.statedName())
	}
	return match, err
}

// Identify finds the models of the registry that have the names and shapes of the tensors in an
// open file, without reading the tensors themselves. For an ONNX graph it finds the model that
// computes the same. If exactly one model fits but the file, or config.json beside it, names
// another network, Identify returns the model together with an error that says so.
func Identify(f *weights.File) ([]models.Match, error) {
	w, err := listWeights(f, nil)
	if err != nil {
		return nil, err
	}
	if w.Format == weights.ONNX {
		if h, err := recogniseGraph(f, ""); err == nil {
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
