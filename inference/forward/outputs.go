package forward

import (
	"fmt"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/task"
	"github.com/residual-ml/residual/tensor"
)

// Config says what the outputs of a model mean. The zero value stands for the logits of classes.
type Config struct {
	Targets task.Targets
	// Loss is what an evaluation measures as Result.Loss; nil means that of LossFor. Of classes
	// it takes soft labels [N, classes] as targets.
	Loss nn.Loss
}

// LossFor returns the loss of a task: cross-entropy of classes and of the classes of pixels, binary
// cross-entropy of labels and of masks with one class, and the mean squared error of values.
func LossFor(t task.Targets) nn.Loss {
	switch {
	case t.Task == task.Values:
		return nn.MSELoss{}.Forward
	case t.Task == task.Labels, t.Task == task.Masks && len(t.Names) < 2:
		return nn.BCEWithLogitsLoss{}.Forward
	}
	return nn.CrossEntropyLoss{}.Forward
}

// CheckOutputs returns an error unless a model that gives outputs of a shape for n images
// answers a task.
func CheckOutputs(t task.Targets, m nn.Module, outputs tensor.Shape, n int) error {
	whole := len(outputs) > 0 && outputs[0] == n
	switch kind := t.Task.Named(); {
	case kind == task.Classes && (!whole || len(outputs) != 2):
		return fmt.Errorf("%s gives %v, where a classifier gives [N, classes]", nn.Class(m), outputs)
	case kind == task.Labels && (!whole || len(outputs) != 2 || outputs[1] != len(t.Names)),
		kind == task.Values && t.Shape == nil && (!whole || len(outputs) != 2 || outputs[1] != len(t.Names)):
		return fmt.Errorf("%s gives %v, and %d %s need [N, %d]", nn.Class(m), outputs, len(t.Names), kind, len(t.Names))
	case kind == task.Masks && (!whole || len(outputs) != 4 || outputs[1] != t.Outputs()):
		return fmt.Errorf("%s gives %v, and masks of %d classes need [N, %d, H, W]", nn.Class(m), outputs, t.Outputs(), t.Outputs())
	case !whole:
		return fmt.Errorf("%s gives %v for %d images; the first size must be that number", nn.Class(m), outputs, n)
	}
	return nil
}

// OneHot returns labels as soft labels [N, classes].
func OneHot(labels []int64, classes int) (*tensor.Tensor, error) {
	soft := tensor.New(len(labels), classes)
	for i, label := range labels {
		if label < 0 || label >= int64(classes) {
			return nil, fmt.Errorf("label %d of image %d in the batch is outside 0..%d, the model's classes", label, i, classes-1)
		}
		soft.Data()[i*classes+int(label)] = 1
	}
	return soft, nil
}

// TraceLoss adds a loss to the graph of outputs and targets, as a scalar. Shapes that do not
// fit are an error.
func TraceLoss(loss nn.Loss, outputs, targets *graph.Node) (*graph.Node, error) {
	value, err := engine.Trace(func(x *graph.Node) *graph.Node { return loss(x, targets) }, outputs)
	switch {
	case err != nil:
		return nil, fmt.Errorf("the loss, of targets %v: %w", targets.Shape, err)
	case value == nil || value.Graph != outputs.Graph:
		return nil, fmt.Errorf("the loss is no node of the graph of the outputs")
	case value.Shape.Numel() != 1:
		return nil, fmt.Errorf("the loss gives %v for outputs %v, where one number is wanted; take its Mean()", value.Shape, outputs.Shape)
	case len(value.Shape) > 0:
		value = value.Reshape()
	}
	return value, nil
}
