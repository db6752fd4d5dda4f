package train

import (
	"context"
	"math"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/task"
	"github.com/residual-ml/residual/tensor"
)

// Source says what a training took of the file Config.Weights, and of what use it is. If the
// head is new, a linear classifier on the features of some training images says how much the
// file's features tell about their classes, and how much those of new weights do.
type Source struct {
	Kept, New int64  // parameters with the values of the file, and others
	Head      string // the layer that is new; empty if none is

	Images          int     // whose features were classified; 0 if none were
	Accuracy, Unfit float64 // of the classifier, on images that it was not fitted to, by the features of the file and by those of new weights
}

// Helps reports whether the features of the file tell more about the classes than those of new
// weights, by more than the noise of so many images. It is true if that was not measured.
func (s Source) Helps() bool {
	if s.Images == 0 {
		return true
	}
	return s.Accuracy-s.Unfit > math.Sqrt(0.5/float64(s.Images))
}

// sourceImages is the number of images by which a source is judged.
const sourceImages = 320

// sourceSet returns the training images by which the source is judged, and the part of the module
// before its head; nil if it is not judged.
func (j *job) sourceSet(train data.Dataset) (data.Dataset, *headOnly, *nn.Features) {
	if info := train.Info(); j.Weights == "" || info.Targets.Task.Named() != task.Classes || len(info.Classes) < 2 {
		return nil, nil, nil
	}
	head, before := headOf(j.module, tensor.Shape{train.Info().Channels, j.Resize, j.Resize})
	if head == nil {
		return nil, nil, nil
	}
	n := min(train.Len(), sourceImages)
	some := make([]int, n)
	for i := range some {
		some[i] = i * train.Len() / n
	}
	return data.Subset(train, some), head, before
}

// judge loads the first weights, and says what they are worth.
func (j *job) judge(ctx context.Context, train data.Dataset) (s *Source, changes []string, err error) {
	if j.Weights == "" {
		return nil, nil, nil
	}
	some, head, before := j.sourceSet(train)
	var fresh *featureSet
	if head != nil {
		if fresh, err = j.features(ctx, j.dev, before, head.size, some); err != nil {
			return nil, nil, err
		}
	}
	was := j.head(j.module)
	if changes, err = j.loadFirstWeights(j.module, j.native); err != nil {
		return nil, nil, err
	}
	s = &Source{Kept: nn.Count(j.module)}
	now, weight := j.head(j.module), j.entry.Head+".weight"
	if now[weight] != nil && equal(was[weight].Data(), now[weight].Data()) {
		s.Head = j.entry.Head
		for _, v := range now {
			s.New += int64(v.Numel())
		}
	}
	s.Kept -= s.New
	if s.Head == "" || fresh == nil {
		return s, changes, nil
	}
	of, err := j.features(ctx, j.dev, before, head.size, some)
	if err != nil {
		return nil, nil, err
	}
	classes := len(train.Info().Classes)
	s.Images, s.Accuracy, s.Unfit = len(of.labels), of.separable(classes), fresh.separable(classes)
	return s, changes, nil
}

// equal compares two lists by their bits.
func equal(a, b []float32) bool {
	for i, v := range a {
		if math.Float32bits(v) != math.Float32bits(b[i]) {
			return false
		}
	}
	return len(a) == len(b)
}

// separable returns the share of images to which a linear classifier gives their class that was
// fitted to all others: ridge regression on the standardised features, whose predictions without
// an image follow from those with it (Allen 1974; Hastie et al., The Elements of Statistical
// Learning, equation 7.64). Of a few strengths of the ridge the best one counts.
func (f *featureSet) separable(classes int) (best float64) {
	n := len(f.labels)
	kernel := f.kernel()
	if n < 2 || kernel == nil {
		return 0
	}
	for _, ridge := range []float64{0.01, 0.1, 1, 10} {
		inverse := inverted(kernel, n, ridge)
		if inverse == nil {
			continue
		}
		hits := 0
		for i, label := range f.labels {
			at, most := 0, math.Inf(-1)
			for class := range classes {
				// The residual of image i without it is (G y)_i / G_ii, where G is the inverse.
				sum := 0.0
				for k, l := range f.labels {
					if l == class {
						sum += inverse[i*n+k]
					}
				}
				own := 0.0
				if label == class {
					own = 1
				}
				if score := own - sum/inverse[i*n+i]; score > most {
					at, most = class, score
				}
			}
			if at == label {
				hits++
			}
		}
		best = max(best, float64(hits)/float64(n))
	}
	return best
}

// kernel returns the mean products of standardised features [n, n], with 1 for the constant; nil
// if a feature is not finite.
func (f *featureSet) kernel() []float64 {
	n := len(f.labels)
	k, column, used := make([]float64, n*n), make([]float64, n), 0.0
	for at := range f.size {
		mean, square := 0.0, 0.0
		for i := range n {
			column[i] = float64(f.values[i*f.size+at])
			mean += column[i] / float64(n)
		}
		for i := range n {
			column[i] -= mean
			square += column[i] * column[i] / float64(n)
		}
		if math.IsNaN(square) || math.IsInf(square, 0) {
			return nil
		}
		if square == 0 {
			continue
		}
		used++
		for i, v := range column {
			row := k[i*n : (i+1)*n]
			for j, w := range column[:i+1] {
				row[j] += v * w / square
			}
		}
	}
	for i := range n {
		for j := range i + 1 {
			k[i*n+j] = k[i*n+j]/max(used, 1) + 1
			k[j*n+i] = k[i*n+j]
		}
	}
	return k
}

// inverted returns the inverse of k [n, n] with ridge added to its diagonal, by the factors of
// Cholesky; nil if it has none.
func inverted(k []float64, n int, ridge float64) []float64 {
	l := make([]float64, n*n)
	for i := range n {
		for j := range i + 1 {
			sum := k[i*n+j]
			if i == j {
				sum += ridge
			}
			for m, v := range l[i*n : i*n+j] {
				sum -= v * l[j*n+m]
			}
			switch {
			case i != j:
				l[i*n+j] = sum / l[j*n+j]
			case !(sum > 0):
				return nil
			default:
				l[i*n+i] = math.Sqrt(sum)
			}
		}
	}
	of, x := make([]float64, n*n), make([]float64, n)
	for c := range n {
		clear(x)
		for i := c; i < n; i++ {
			sum := 0.0
			if i == c {
				sum = 1
			}
			for m := c; m < i; m++ {
				sum -= l[i*n+m] * x[m]
			}
			x[i] = sum / l[i*n+i]
		}
		for i := n - 1; i >= 0; i-- {
			sum := x[i]
			for m := i + 1; m < n; m++ {
				sum -= l[m*n+i] * x[m]
			}
			x[i] = sum / l[i*n+i]
			of[i*n+c] = x[i]
		}
	}
	return of
}
