// Package task names what a model can be asked about an image: its class, several labels at
// once, values, or a mask. Targets describes the answers that are right; data sets, model files
// and what runs models share this one description.
package task

import (
	"fmt"
	"slices"
	"strings"
)

// Task is a kind of question. The empty Task stands for Classes.
type Task string

// The tasks. Their values are also the words of the command line and of model files.
const (
	Classes Task = "classes" // which one of several classes an image shows
	Labels  Task = "labels"  // which of several labels an image has: none, one or more of them
	Values  Task = "values"  // numbers, such as an age or a price
	Masks   Task = "masks"   // a class of every pixel
)

// All lists the tasks.
func All() []Task { return []Task{Classes, Labels, Values, Masks} }

// Parse reads the word for a task.
func Parse(word string) (Task, error) {
	if t := Task(word).Named(); slices.Contains(All(), t) {
		return t, nil
	}
	var words []string
	for _, t := range All() {
		words = append(words, string(t))
	}
	return "", fmt.Errorf("unknown task %q; choose one of: %s", word, strings.Join(words, ", "))
}

// Named returns the task, Classes for the empty one.
func (t Task) Named() Task {
	if t == "" {
		return Classes
	}
	return t
}

// Singular names one answer: class, label, value or mask.
func (t Task) Singular() string {
	return map[Task]string{Classes: "class", Labels: "label", Values: "value", Masks: "mask"}[t.Named()]
}

// Targets describes the right answers for the images of a data set, and the outputs of a model
// that gives them. The zero value stands for one class per image.
type Targets struct {
	Task Task

	// Names are those of the labels or values, in the order of the outputs, or those of the
	// classes of a mask's pixels.
	Names []string

	// Shape is the shape of one image's targets; nil means one number for each name. Values
	// may have any shape, and then need no names. A mask has the shape of the image: [H, W],
	// with the number of a class for every pixel, where there are two names or more, and else
	// [1, H, W], with 1 for the pixels that belong to it and 0 for the others.
	Shape []int

	// Mean and Std, one for each name, are those by which values are standardised: a model is
	// trained on (value - Mean)/Std, and its outputs are converted back. nil means that they
	// are not.
	Mean, Std []float64
}

// Sized returns the shape of the targets of one image of height by width pixels.
func (t Targets) Sized(height, width int) []int {
	switch {
	case t.Task == Masks && len(t.Names) > 1:
		return []int{height, width}
	case t.Task == Masks:
		return []int{1, height, width}
	case t.Shape != nil:
		return t.Shape
	}
	return []int{len(t.Names)}
}

// Outputs returns how many outputs a model needs: one for each name.
func (t Targets) Outputs() int { return max(1, len(t.Names)) }

// Unit converts output i of a model to the units of value i.
func (t Targets) Unit(i int, output float32) float64 {
	v := float64(output)
	if t.Std == nil {
		return v
	}
	i %= len(t.Std)
	return float64(v*t.Std[i]) + t.Mean[i]
}

// Standard converts value i to what a model is trained on.
func (t Targets) Standard(i int, value float64) float32 {
	if t.Std == nil {
		return float32(value)
	}
	i %= len(t.Std)
	return float32((value - t.Mean[i]) / t.Std[i])
}

// Check returns an error for the first field that cannot be.
func (t Targets) Check() error {
	if _, err := Parse(string(t.Task)); err != nil {
		return err
	}
	if t.Task.Named() == Classes {
		return nil
	}
	for i, name := range t.Names {
		if name == "" || slices.Contains(t.Names[:i], name) {
			return fmt.Errorf("name %d of the %s is %q; every one must be named, and unlike the others", i+1, t.Task, name)
		}
	}
	if len(t.Names) == 0 && (t.Task == Labels || t.Task == Values && t.Shape == nil) {
		return fmt.Errorf("the %s have no names; give one for each", t.Task)
	}
	if t.Shape != nil && t.Task != Values && !slices.Equal(t.Shape, []int{len(t.Names)}) {
		return fmt.Errorf("the shape %v is given for %s, which have one of their own; leave it out", t.Shape, t.Task)
	}
	if len(t.Mean) != len(t.Std) || t.Mean != nil && (len(t.Mean) != len(t.Names) || t.Task != Values) {
		return fmt.Errorf("%d means and %d stds for %d %s; give one of each for every value, or none", len(t.Mean), len(t.Std), len(t.Names), t.Task)
	}
	for i, s := range t.Std {
		if m := t.Mean[i]; !(s > 0) || m-m != 0 || s-s != 0 {
			return fmt.Errorf("value %q has the mean %v and the std %v; both must be finite, and the std above 0", t.Names[i], m, s)
		}
	}
	return nil
}
