package transforms

import (
	"cmp"
	"math"
	"math/rand/v2"

	"github.com/residual-ml/residual/internal/rng"
	"github.com/residual-ml/residual/tensor"
)

// BatchTransform mixes the images of a batch and their labels. Draw takes all random numbers
// from r, for images of height by width, and the Mix that it returns does the work.
type BatchTransform interface {
	Draw(height, width int, r rand.Source) Mix
}

// Mix mixes every image of a batch with the image before it, and the first with the last.
// When Height or Width is 0, an image becomes Lambda times itself plus 1-Lambda times the
// other, as in Mixup. Otherwise a rectangle of the other replaces its own, and 1-Lambda is
// the fraction of the area, as in CutMix. Lambda 1 leaves the batch unchanged.
type Mix struct {
	Lambda                   float64 // the weight of the image itself, 0 to 1
	Top, Left, Height, Width int     // the rectangle of CutMix
}

// Images mixes images [N, C, H, W] in place. It panics on other shapes.
func (x Mix) Images(images *tensor.Tensor) {
	s := images.Shape()
	if len(s) != 4 || x.Top < 0 || x.Left < 0 || x.Top+x.Height > s[2] || x.Left+x.Width > s[3] {
		panic(tensor.Misusef("transforms.Mix: images %v and a rectangle of %d by %d at (%d, %d): images must be [N, C, H, W] and contain it", s, x.Height, x.Width, x.Top, x.Left))
	}
	if x.Lambda == 1 || s[0] < 2 {
		return
	}
	n, size, data := s[0], s[1]*s[2]*s[3], images.Data()
	last := append([]float32(nil), data[(n-1)*size:]...)
	for i := n - 1; i >= 0; i-- { // backwards, so that image i-1 is still unmixed
		own, other := data[i*size:(i+1)*size], last
		if i > 0 {
			other = data[(i-1)*size : i*size]
		}
		if x.Height == 0 || x.Width == 0 {
			lambda, otherWeight := float32(x.Lambda), float32(1-x.Lambda)
			for j, v := range other {
				own[j] = float32(own[j]*lambda) + float32(v*otherWeight)
			}
			continue
		}
		for c := range s[1] {
			for y := x.Top; y < x.Top+x.Height; y++ {
				at := (c*s[2]+y)*s[3] + x.Left
				copy(own[at:at+x.Width], other[at:at+x.Width])
			}
		}
	}
}

// Targets returns the mixed labels as soft labels, [N, classes] Float32. Each row adds up to
// 1; a cross entropy with class probabilities takes them. It panics on a label outside
// 0..classes-1.
func (x Mix) Targets(labels []int64, classes int) *tensor.Tensor {
	t := tensor.New(len(labels), classes)
	lambda, otherWeight := float32(x.Lambda), float32(1-x.Lambda)
	for i, label := range labels {
		other := labels[(i+len(labels)-1)%len(labels)]
		if label < 0 || label >= int64(classes) || other < 0 || other >= int64(classes) {
			panic(tensor.Misusef("transforms.Mix: labels %d and %d of %d classes", label, other, classes))
		}
		row := t.Data()[i*classes : (i+1)*classes]
		row[label] += lambda
		row[other] += otherWeight
	}
	return t
}

// Mixup blends images with a weight drawn from Beta(Alpha, Alpha) once for each batch (Zhang
// et al., https://arxiv.org/abs/1710.09412;
// https://pytorch.org/vision/stable/generated/torchvision.transforms.v2.MixUp.html).
type Mixup struct {
	Alpha float64 // 0 means 1
}

// Draw implements BatchTransform.
func (t Mixup) Draw(_, _ int, r rand.Source) Mix { return Mix{Lambda: beta(r, t.Alpha)} }

// CutMix pastes a rectangle of one image into another. The fraction of the area comes from
// Beta(Alpha, Alpha), the middle from a uniform distribution, and the rectangle ends at the
// borders of the image (Yun et al., https://arxiv.org/abs/1905.04899;
// https://pytorch.org/vision/stable/generated/torchvision.transforms.v2.CutMix.html).
type CutMix struct {
	Alpha float64 // 0 means 1
}

// Draw implements BatchTransform.
func (t CutMix) Draw(height, width int, r rand.Source) Mix {
	lambda := beta(r, t.Alpha)
	x, y := rng.IntN(r, width), rng.IntN(r, height)
	return cutMix(height, width, x, y, lambda)
}

// cutMix returns the rectangle around (x, y), clipped at the borders, with the Lambda that
// belongs to the clipped area.
func cutMix(height, width, x, y int, lambda float64) Mix {
	half := 0.5 * math.Sqrt(1-lambda)
	halfW, halfH := int(half*float64(width)), int(half*float64(height))
	left, right := max(x-halfW, 0), min(x+halfW, width)
	top, bottom := max(y-halfH, 0), min(y+halfH, height)
	m := Mix{Top: top, Left: left, Height: bottom - top, Width: right - left}
	m.Lambda = 1 - float64(m.Height*m.Width)/float64(height*width)
	return m
}

// RandomChoice applies one of its transforms, chosen uniformly, with probability P; it is
// torchvision's RandomChoice for batches.
type RandomChoice struct {
	Of []BatchTransform
	P  float64 // the probability that a batch is mixed; 0 means 1
}

// Draw implements BatchTransform.
func (t RandomChoice) Draw(height, width int, r rand.Source) Mix {
	if len(t.Of) == 0 || !rng.Chance(r, cmp.Or(t.P, 1)) {
		return Mix{Lambda: 1}
	}
	return t.Of[rng.IntN(r, len(t.Of))].Draw(height, width, r)
}

// beta draws from Beta(alpha, alpha). It rounds to float32, because the last bit of a
// logarithm differs between processors.
func beta(r rand.Source, alpha float64) float64 {
	alpha = cmp.Or(alpha, 1)
	if !(alpha > 0) || math.IsInf(alpha, 1) {
		panic(tensor.Misusef("transforms: alpha %v of Mixup or CutMix; it must be a number above 0", alpha))
	}
	a, b := logGamma(r, alpha), logGamma(r, alpha)
	return float64(float32(1 / (1 + math.Exp(b-a))))
}

// logGamma draws the logarithm of a number from Gamma(alpha, 1), by Marsaglia and Tsang, A
// simple method for generating gamma variables, 2000. For alpha below 1 it uses their remark
// that Gamma(a) is Gamma(a+1) times U^(1/a). Logarithms avoid underflow.
func logGamma(r rand.Source, alpha float64) float64 {
	boost := 0.0
	if alpha < 1 {
		boost = math.Log(1-rng.Between(r, 0, 1)) / alpha
		alpha++
	}
	d := alpha - 1.0/3
	c := 1 / math.Sqrt(9*d)
	for {
		x := normal(r)
		v := 1 + c*x
		if v <= 0 {
			continue
		}
		v = v * v * v
		if math.Log(1-rng.Between(r, 0, 1)) < 0.5*x*x+d-d*v+d*math.Log(v) {
			return boost + math.Log(d) + math.Log(v)
		}
	}
}

// normal draws from the normal distribution, by the first number of the Box-Muller transform.
func normal(r rand.Source) float64 {
	radius := math.Sqrt(-2 * math.Log(1-rng.Between(r, 0, 1)))
	return radius * math.Cos(2*math.Pi*rng.Between(r, 0, 1))
}
