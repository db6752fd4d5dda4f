package exchange

import (
	"fmt"
	"slices"
	"strings"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/quant"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights"
)

// fromGraph replaces w's tensors with the parameters of the model that computes the same as
// the ONNX graph, which must be e, possibly with other numbers of blocks. other reports that
// the graph is another model.
func (w *Weights) fromGraph(e models.Entry) (other bool, err error) {
	h, err := recogniseGraph(w.file, e.Name)
	if err != nil {
		return false, err
	}
	if familyKey(h.match.Entry) != familyKey(e) {
		return true, fmt.Errorf("%s: %w", w.Path, otherModelError(h.match, e.Name))
	}
	h.module, _ = quant.Unwrap(h.module)
	w.names, w.fileShapes, w.tensors = nil, map[string]tensor.Shape{}, map[string]*tensor.Tensor{}
	folded := true
	for _, s := range nn.StateDict(h.module) {
		w.names = append(w.names, s.Name)
		w.fileShapes[s.Name], w.tensors[s.Name] = s.Tensor.Shape(), s.Tensor
		if strings.HasSuffix(s.Name, "running_mean") && slices.ContainsFunc(s.Tensor.Data(), func(v float32) bool { return v != 0 }) {
			folded = false
		}
	}
	w.namings = namings(w.names, "")
	if folded {
		w.dictNote = "the graph's batch norms are folded into its convolutions: the model's batch norms begin by only adding the bias, without the statistics of the training"
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
	stem := ""
	if match, err := e.Configured(w.shapes(n)); err == nil {
		if err := w.contradicted(match); err != nil && match.Fits(w.shapes(n)) {
			return nil, fmt.Errorf("%s: %w", w.Path, err)
		}
		stem = w.stemNote(match)
	}
	values := w.tensorsUnder(n)
	own := map[string]*tensor.Tensor{}
	for _, s := range nn.StateDict(m) {
		own[s.Name] = s.Tensor
	}
	if w.dictNote != "" {
		changes = append(changes, w.dictNote)
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
				err = fmt.Errorf("%w; it holds the weights of %s", err, joinTitles(found))
			}
		}
		return nil, fmt.Errorf("%s: not the weights of %s: %w", w.Path, e.Name, err)
	}
	if _, err := checkpoint.ModelIn(w.Metadata); err != nil && widens(e) && w.Format != weights.ONNX {
		changes = append(changes, zerosNote)
	}
	if stem != "" && w.Format != weights.ONNX {
		changes = append(changes, stem)
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
