// Package ptq quantises a trained net without training it further: static post-training
// quantisation.
//
//	c, err := inference.Load("runs/train-1", dev, engine.FP32)
//	...
//	images, err := ptq.OpenImages(ctx, c, ptq.Source{})
//	...
//	result, err := ptq.Quantise(ctx, c, images, ptq.Config{})
//	...
//	err = result.Save("small.safetensors")
//
// Quantise runs the net on images of its training and observes the inputs of its convolutions and
// linear layers. It chooses the ranges of these values by the method that changes the net's outputs
// least on other images, leaves the first and the last layer in floating point, and measures the
// accuracy on test images. If that falls by more than Config.MaxDrop, it leaves further layers in
// floating point, the one that changes the outputs most first, until the fall is within the limit.
package ptq

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/exchange"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/internal/number"
	"github.com/residual-ml/residual/modelfile"
	"github.com/residual-ml/residual/quant"
	"github.com/residual-ml/residual/task"
	"github.com/residual-ml/residual/tensor"
)

// Config says how a net is quantised. The zero value is a sensible default.
type Config struct {
	Method  quant.Method // how ranges are chosen; empty tries all and takes the one with the least error
	MaxDrop float64      // points of accuracy that may be lost on the test images; 0: 0.3
	Images  int          // images to observe; 0: 256
	Seed    uint64       // of the choice of images
	Batch   int          // images in a batch of an evaluation; 0: 128

	// Progress, if it is not nil, is called as the work goes on: with the name of a stage and how
	// much of it is done. It is called with done 0 at the beginning of each stage.
	Progress func(stage string, done, total int)
}

const (
	defaultDrop   = 0.3
	defaultImages = 256
	defaultBatch  = 128
	tooLarge      = 0.1 // error of a layer that stays in floating point if no accuracy can be measured
)

// Result is a quantised net with what was measured.
type Result struct {
	Net  *quant.Net       `json:"-"`
	Info checkpoint.Model `json:"-"` // describes Net, for its file

	Method  quant.Method  `json:"method"`  // that was chosen
	Methods []MethodError `json:"methods"` // all that were tried
	Data    string        `json:"data"`    // where the images came from
	Images  int           `json:"images"`  // images that were observed
	Random  bool          `json:"random"`  // the images were random numbers, so the ranges are a guess
	MaxDrop float64       `json:"max_drop"`
	Drop    *number.Float `json:"drop"` // points of accuracy that were lost; null where none was measured
	Error   number.Float  `json:"error"`
	Layers  []Layer       `json:"layers"`
	States  []State       `json:"states"` // fp32, the device's preferred precision, and quantised
}

// MethodError is the error of a net quantised by a method: the root mean square of the change of
// its outputs, as a fraction of their standard deviation.
type MethodError struct {
	Method quant.Method `json:"method"`
	Error  number.Float `json:"error"`
}

// Layer describes a convolution or linear layer.
type Layer struct {
	Layer     string        `json:"layer"` // the name of its weight
	Quantised bool          `json:"quantised"`
	Why       string        `json:"why,omitempty"` // why it is not quantised
	High      number.Float  `json:"high"`          // the end of the range of its input; 0 for a layer that cannot be quantised
	Seen      number.Float  `json:"seen"`          // the largest input that was observed
	Error     *number.Float `json:"error"`         // of the outputs if this layer alone is quantised; null for a layer that cannot be
	Before    *number.Float `json:"milliseconds_before"`
	After     *number.Float `json:"milliseconds_after"`
}

// State is a net in one precision.
type State struct {
	Precision       string        `json:"precision"`
	Accuracy        *number.Float `json:"accuracy"` // null where none was measured
	Loss            *number.Float `json:"loss"`
	Latency         number.Float  `json:"milliseconds"` // of one image
	ImagesPerSecond number.Float  `json:"images_per_second"`
}

// Quantise quantises the net of c. c must compute in engine.FP32, to which the quantised net is
// compared. It returns the context's error if ctx ends.
func Quantise(ctx context.Context, c *inference.Classifier, images *Images, config Config) (*Result, error) {
	config.MaxDrop, config.Images, config.Batch = cmp.Or(config.MaxDrop, defaultDrop), cmp.Or(config.Images, defaultImages), cmp.Or(config.Batch, defaultBatch)
	if config.Progress == nil {
		config.Progress = func(string, int, int) {}
	}
	if err := check(c, config); err != nil {
		return nil, err
	}
	s := &search{ctx: ctx, c: c, images: images, config: config, precision: inference.PreferredFor(&quant.Net{Scheme: &quant.Scheme{}}, c.Device())}
	return s.run()
}

// Save writes the quantised model into a file: safetensors, or an ONNX graph where the name ends in
// .onnx. It replaces the file atomically.
func (r *Result) Save(path string) error {
	m := modelfile.Model{Path: path, Module: r.Net, Info: r.Info}
	m.Graph, _ = r.Net.Module.(*exchange.Network)
	return m.Save(path)
}

func check(c *inference.Classifier, config Config) error {
	switch _, scheme := quant.Unwrap(c.Module()); {
	case scheme != nil:
		return fmt.Errorf("the model is quantised already: %d of its layers compute with integers of 8 bits; give the model that it was made from", len(scheme.Layers))
	case config.MaxDrop < 0:
		return field.Errorf("{MaxDrop} %v: give the points of accuracy that may be lost, such as 0.3", config.MaxDrop)
	case config.Images < 1:
		return field.Errorf("{Images} %d: give a number of images above 0", config.Images)
	}
	if config.Method != "" {
		if _, err := quant.ParseMethod(string(config.Method)); err != nil {
			return field.Errorf("{Method}: %w", err)
		}
	}
	return nil
}

// search is a quantisation under way.
type search struct {
	ctx       context.Context
	c         *inference.Classifier
	images    *Images
	config    Config
	precision engine.Precision

	observed, held sample // of the images: those that are observed, and those on which errors are measured
	layers         []layer
	values         []value
	result         Result
}

// layer is a convolution or linear layer of the net.
type layer struct {
	candidate quant.Candidate
	can       bool   // it can be quantised
	why       string // it is not quantised
	err       float64
}

// value is an activation with what was observed of it.
type value struct {
	quant.Value
	low, high float32
	histogram *quant.Histogram
}

func (s *search) run() (*Result, error) {
	if err := s.prepare(); err != nil {
		return nil, err
	}
	if err := s.observe(); err != nil {
		return nil, err
	}
	reference, err := s.outputs(nil)
	if err != nil {
		return nil, err
	}
	scheme, err := s.chooseMethod(reference)
	if err != nil {
		return nil, err
	}
	if err := s.sensitivities(scheme, reference); err != nil {
		return nil, err
	}
	if scheme, err = s.shrink(scheme); err != nil {
		return nil, err
	}
	return s.finish(scheme, reference)
}

// prepare finds the layers and values, and reads the images.
func (s *search) prepare() error {
	if err := s.read(); err != nil {
		return err
	}
	g := graph.New(graph.Eval)
	x := g.Input("images", tensor.Float32, s.observed.batches[0].Shape()...)
	out, err := engine.Trace(s.c.Module().Forward, x)
	if err != nil {
		return fmt.Errorf("the images do not fit the model: %w", err)
	}
	if s.layers, err = layersOf(s.c.Module(), out); err != nil {
		return err
	}
	var candidates []quant.Candidate
	for _, l := range s.layers {
		if l.can && l.why == "" {
			candidates = append(candidates, l.candidate)
		}
	}
	for _, v := range quant.Values(candidates, out) {
		s.values = append(s.values, value{Value: v})
	}
	return nil
}

// full returns the scheme of all candidates with ranges by a method.
func (s *search) full(m quant.Method) *quant.Scheme {
	scheme := &quant.Scheme{Layers: map[string]quant.Layer{}}
	for _, l := range s.layers {
		if l.can && l.why == "" {
			scheme.Layers[l.candidate.Name] = quant.Layer{Weight: quant.WeightScales(l.candidate.Weight.Value)}
		}
	}
	for _, v := range s.values {
		if v.Term != "" { // exported graphs round it in addition, so it should not be cut off as well
			scheme.Set(v.Value, quant.GridOf(v.histogram.Range(quant.MinMax)))
			continue
		}
		scheme.Set(v.Value, quant.GridOf(v.histogram.Range(m)))
	}
	return scheme
}

// chooseMethod returns the scheme by the method with the least error.
func (s *search) chooseMethod(reference *sample) (best *quant.Scheme, err error) {
	methods := quant.Methods()
	if s.config.Method != "" {
		methods = []quant.Method{s.config.Method}
	}
	for i, m := range methods {
		s.config.Progress("comparing calibrations", i, len(methods))
		scheme := s.full(m)
		e, err := s.errorOf(scheme, reference)
		if err != nil {
			return nil, err
		}
		s.result.Methods = append(s.result.Methods, MethodError{m, number.Float(e)})
		if best == nil || e < float64(s.result.Error) {
			best, s.result.Method, s.result.Error = scheme, m, number.Float(e)
		}
	}
	return best, nil
}

// sensitivities measures the error of each layer alone.
func (s *search) sensitivities(full *quant.Scheme, reference *sample) error {
	for i := range s.layers {
		l := &s.layers[i]
		s.config.Progress("measuring layers", i, len(s.layers))
		if !l.can || l.why != "" {
			continue
		}
		alone := &quant.Scheme{Layers: map[string]quant.Layer{l.candidate.Name: full.Layers[l.candidate.Name]}}
		var err error
		if l.err, err = s.errorOf(alone, reference); err != nil {
			return err
		}
	}
	return nil
}

// shrink removes layers from a scheme, the most sensitive first, until the accuracy is within the
// limit.
func (s *search) shrink(scheme *quant.Scheme) (*quant.Scheme, error) {
	order := make([]*layer, 0, len(s.layers))
	for i := range s.layers {
		if l := &s.layers[i]; l.can && l.why == "" {
			order = append(order, l)
		}
	}
	slices.SortStableFunc(order, func(a, b *layer) int { return cmp.Compare(b.err, a.err) })
	if !s.measurable() {
		for _, l := range order {
			if !(l.err <= tooLarge) {
				l.why = fmt.Sprintf("its error is above %v", tooLarge)
				scheme = scheme.Without(l.candidate.Name)
			}
		}
		return scheme, s.notEmpty(scheme)
	}
	before, err := s.evaluate(nil, engine.FP32)
	if err != nil {
		return nil, err
	}
	s.result.States = []State{{Precision: engine.FP32.String(), Accuracy: number.Known(before.Accuracy), Loss: number.Known(before.Loss)}}
	limit := max(s.config.MaxDrop/100, 1/float64(before.Count)) // one image less may be chance
	for {
		after, err := s.evaluate(scheme, s.precision)
		if err != nil {
			return nil, err
		}
		drop := before.Accuracy - after.Accuracy
		s.result.Drop = number.Known(100 * drop)
		s.result.States = append(s.result.States[:1], State{Precision: "int8", Accuracy: number.Known(after.Accuracy), Loss: number.Known(after.Loss)})
		if drop <= limit+1e-9 {
			return scheme, nil
		}
		if len(order) == 0 {
			return nil, s.notEmpty(scheme)
		}
		order[0].why = fmt.Sprintf("with it %.2f points would be lost", 100*drop)
		scheme, order = scheme.Without(order[0].candidate.Name), order[1:]
		if err := s.notEmpty(scheme); err != nil {
			return nil, err
		}
	}
}

// notEmpty returns an error for a scheme without layers.
func (s *search) notEmpty(scheme *quant.Scheme) error {
	if len(scheme.Layers) > 0 {
		return nil
	}
	if s.measurable() {
		return field.Errorf("no layer can be quantised without losing more than %v points of accuracy; allow more with {MaxDrop}, or calibrate on more images with {Images}", s.config.MaxDrop)
	}
	return errors.New("every layer changes the outputs too much when it is quantised; calibrate on images of the training")
}

// measurable reports whether an accuracy can be measured.
func (s *search) measurable() bool {
	return s.images.Test != nil && s.c.Info().Task.Named() == task.Classes
}
