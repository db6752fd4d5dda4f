package metrics

import "fmt"

// Masks collects the answers of a model that gives every pixel of an image a class.
type Masks struct {
	counts [][]int // pixels by [true class][predicted class]
}

// NewMasks returns a collector for a number of classes; two for masks that a pixel belongs to or
// not.
func NewMasks(classes int) *Masks {
	m := &Masks{make([][]int, classes)}
	for i := range m.counts {
		m.counts[i] = make([]int, classes)
	}
	return m
}

// Add counts a pixel. It panics when a class does not exist.
func (m *Masks) Add(predicted, target int) {
	if k := len(m.counts); predicted < 0 || predicted >= k || target < 0 || target >= k {
		panic(fmt.Sprintf("metrics.Masks: a pixel of class %d, predicted as %d, of %d classes", target, predicted, k))
	}
	m.counts[target][predicted]++
}

// MaskResult measures masks.
type MaskResult struct {
	Pixels   int
	Accuracy float64   // share of the pixels whose class is right
	IoU      []float64 // of each class, intersection over union; NaN for one that no pixel has or was given
	MeanIoU  float64   // mean over the others
}

// Result measures what was added.
func (m *Masks) Result() (r MaskResult) {
	right := 0
	for i, row := range m.counts {
		union := 0
		for j := range row {
			union += row[j] + m.counts[j][i]
			r.Pixels += row[j]
		}
		right += row[i]
		r.IoU = append(r.IoU, float64(row[i])/float64(union-row[i]))
	}
	r.Accuracy, r.MeanIoU = float64(right)/float64(r.Pixels), mean(r.IoU)
	return r
}
