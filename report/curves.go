package report

import (
	"math"
	"sort"
	"sync"
)

// The names of the three curves of the d2l plot.
const (
	TrainLoss = "train loss"
	TrainAcc  = "train acc"
	TestAcc   = "test acc"
)

// TestLoss is the name of the curve of the test loss, which trainings on labels, values and
// masks draw in place of the accuracies.
const TestLoss = "test loss"

// Point is one value of a curve; X counts epochs (0.2 is a fifth of the first).
type Point struct{ X, Y float64 }

// Series is one curve.
type Series struct {
	Name   string
	Points []Point
}

// Curves collects the curves of a run over its epochs. It is safe for
// concurrent use: the training adds points while the display draws them.
type Curves struct {
	mu     sync.Mutex
	epochs int
	series []Series
}

// NewCurves returns empty curves for a run of the given number of epochs.
// Without names they are the three of the d2l plot: train loss and train acc
// (five points an epoch), test acc (one an epoch).
func NewCurves(epochs int, names ...string) *Curves {
	if len(names) == 0 {
		names = []string{TrainLoss, TrainAcc, TestAcc}
	}
	c := &Curves{epochs: max(1, epochs)}
	for _, n := range names {
		c.series = append(c.series, Series{Name: n})
	}
	return c
}

// Add appends a point at x epochs to the named curve. A new name starts a
// new curve.
func (c *Curves) Add(name string, x, y float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.series {
		if c.series[i].Name == name {
			c.series[i].Points = append(c.series[i].Points, Point{x, y})
			return
		}
	}
	c.series = append(c.series, Series{Name: name, Points: []Point{{x, y}}})
}

// Series returns a copy of the curves in the order they were named.
func (c *Curves) Series() []Series {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]Series, len(c.series))
	for i, s := range c.series {
		out[i] = Series{Name: s.Name, Points: append([]Point(nil), s.Points...)}
	}
	return out
}

// any reports whether there is at least one point.
func (c *Curves) any() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.series {
		if len(s.Points) > 0 {
			return true
		}
	}
	return false
}

// drawable is the largest magnitude that is drawn: a run that has diverged
// beyond it counts as infinite, and drawing it would flatten everything else.
const drawable = 1e30

// figure holds what the plot and the text chart both start from: the points
// that can be drawn and the ranges of the axes.
type figure struct {
	series     []Series
	xmin, xmax float64
	ymin, ymax float64
}

// figure leaves out NaN and infinite points and fits the axes. The x axis runs
// from `from` to the last epoch.
func (c *Curves) figure(from float64) figure {
	f := figure{series: c.Series(), xmin: from, xmax: float64(c.epochs)}
	for i := range f.series {
		finite := f.series[i].Points[:0]
		for _, p := range f.series[i].Points {
			if math.Abs(p.X) <= drawable && math.Abs(p.Y) <= drawable {
				finite = append(finite, p)
				f.xmax = math.Max(f.xmax, p.X)
			}
		}
		sort.SliceStable(finite, func(a, b int) bool { return finite[a].X < finite[b].X })
		f.series[i].Points = finite
	}
	f.fitY()
	return f
}

// fitY fits the y axis to what is visible from xmin on: the points, and the
// places where a curve crosses the left edge.
func (f *figure) fitY() {
	lo, hi := math.Inf(1), math.Inf(-1)
	see := func(y float64) { lo, hi = math.Min(lo, y), math.Max(hi, y) }
	for _, s := range f.series {
		for i, p := range s.Points {
			if p.X >= f.xmin {
				see(p.Y)
				if i > 0 && s.Points[i-1].X < f.xmin {
					see(between(s.Points[i-1], p, f.xmin))
				}
			}
		}
	}
	if lo > hi { // there is no point yet
		lo, hi = 0, 1
	}
	if hi-lo < 1e-6*math.Max(1, math.Abs(hi)) {
		half := 0.5 * math.Max(1, math.Abs(hi))
		lo, hi = lo-half, hi+half
		if lo < 0 && lo > -0.5 {
			lo = 0
		}
	}
	f.ymin, f.ymax = lo, hi
}

// between returns the y value at x on the straight line from p to q.
func between(p, q Point, x float64) float64 {
	return p.Y + (q.Y-p.Y)*(x-p.X)/(q.X-p.X)
}

// visible counts the points of a curve from xmin on.
func (f *figure) visible(s Series) int {
	n := 0
	for _, p := range s.Points {
		if p.X >= f.xmin {
			n++
		}
	}
	return n
}
