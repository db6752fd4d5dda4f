package nn

import (
	"cmp"
	"math"
	"slices"

	"github.com/residual-ml/residual/tensor"
)

// ImageInitialiser is a module some of whose first weights follow from the images that it is
// trained on. Package train calls InitFromImages after Init, with some training images as the
// module gets them, [N,C,H,W].
type ImageInitialiser interface{ InitFromImages(images *tensor.Tensor) }

// whitenFloor is added to the variances by which Whiten divides, as a share of their mean, so that
// directions in which images hardly vary are not only noise. Jordan 2024 adds 5e-4 where the mean is
// about 1.
const whitenFloor = 5e-4

// Whiten sets the filters of l so that its outputs are white for patches of the images [N,C,H,W]:
// each has mean 0 and variance 1, and no two are correlated. The first filters are the eigenvectors of the
// covariance of the patches, each divided by the root of its eigenvalue, from the largest on; the
// next ones are their negatives, so that an activation behind l loses nothing; and those that are
// left keep their values. The bias, if there is one, takes away the mean.
// (Jordan 2024, https://arxiv.org/abs/2404.00498, section 3.2, where patches keep their mean.)
//
// l must have no groups and no dilation, and take images of this number of channels.
func Whiten(l *Conv2d, images *tensor.Tensor) {
	s, w := images.Shape(), l.Weight.Value.Shape()
	if l.Geometry.Groups != 1 || l.Geometry.DilationH != 1 || l.Geometry.DilationW != 1 || len(s) != 4 || s[1] != w[1] || s[2] < w[2] || s[3] < w[3] {
		panic(tensor.Misusef("nn.Whiten: %v on images %v; it needs a convolution without groups and dilation, and images of its channels that are not smaller than its kernel", l, s))
	}
	size := w[1:].Numel()
	mean, covariance := patchStatistics(images, w)
	variances, directions := eigen(covariance, size)
	floor := 0.0
	for _, v := range variances {
		floor += whitenFloor * v / float64(size)
	}
	most := min(size, (w[0]+1)/2)
	for i := range min(2*most, w[0]) {
		k, sign := i%most, 1.0
		if i >= most {
			sign = -1
		}
		scale := 0.0 // of images that are all of one colour
		if v := max(variances[k], 0) + floor; v > 0 {
			scale = sign / math.Sqrt(v)
		}
		filter, moved := l.Weight.Value.Data()[i*size:][:size], 0.0
		for j := range filter {
			filter[j] = float32(scale * directions[k*size+j])
			moved += float64(filter[j]) * mean[j]
		}
		if l.Bias != nil {
			l.Bias.Value.Data()[i] = float32(-moved)
		}
	}
}

// patchStatistics returns the mean and the covariance of all patches of the images that have the shape of
// a filter of weight [out, C, KH, KW].
func patchStatistics(images *tensor.Tensor, weight tensor.Shape) (mean, covariance []float64) {
	s := images.Shape()
	size, count := weight[1:].Numel(), 0
	mean, covariance = make([]float64, size), make([]float64, size*size)
	patch, pixels := make([]float64, size), images.Data()
	for n := range s[0] {
		for y := range s[2] - weight[2] + 1 {
			for x := range s[3] - weight[3] + 1 {
				i := 0
				for c := range s[1] {
					for ky := range weight[2] {
						row := pixels[((n*s[1]+c)*s[2]+y+ky)*s[3]+x:]
						for kx := range weight[3] {
							patch[i] = float64(row[kx])
							i++
						}
					}
				}
				for i, v := range patch {
					mean[i] += v
					for j, u := range patch[:i+1] {
						covariance[i*size+j] += float64(v * u)
					}
				}
				count++
			}
		}
	}
	for i := range mean {
		mean[i] /= float64(count)
	}
	for i := range mean {
		for j := range i + 1 {
			v := covariance[i*size+j]/float64(count) - float64(mean[i]*mean[j])
			covariance[i*size+j], covariance[j*size+i] = v, v
		}
	}
	return mean, covariance
}

// eigen returns the eigenvalues of a symmetric n by n matrix, the largest first, and an eigenvector
// of length 1 for each as a row, by Jacobi's rotations (Golub and Van Loan, Matrix Computations,
// section 8.5). The largest element of a vector is positive.
func eigen(a []float64, n int) (values, vectors []float64) {
	a = append([]float64(nil), a...)
	v := make([]float64, n*n) // columns are the vectors
	for i := range n {
		v[i*n+i] = 1
	}
	for range 100 {
		off, all := 0.0, 0.0
		for i, x := range a {
			if all += float64(x * x); i/n != i%n {
				off += float64(x * x)
			}
		}
		if off <= 1e-30*all {
			break
		}
		for p := range n {
			for q := p + 1; q < n; q++ {
				rotate(a, v, n, p, q)
			}
		}
	}
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(a[j*n+j], a[i*n+i]) })
	for _, i := range order {
		values = append(values, a[i*n+i])
		largest := 0.0
		for k := range n {
			if x := v[k*n+i]; math.Abs(x) > math.Abs(largest) {
				largest = x
			}
		}
		for k := range n {
			vectors = append(vectors, math.Copysign(1, largest)*v[k*n+i])
		}
	}
	return values, vectors
}

// rotate makes element (p, q) of the symmetric matrix a 0 by a rotation, which it adds to v.
func rotate(a, v []float64, n, p, q int) {
	if a[p*n+q] == 0 {
		return
	}
	theta := (a[q*n+q] - a[p*n+p]) / (2 * a[p*n+q])
	t := math.Copysign(1, theta) / (math.Abs(theta) + math.Sqrt(float64(theta*theta)+1))
	c := 1 / math.Sqrt(float64(t*t)+1)
	s := float64(t * c)
	for k := range n {
		x, y := a[k*n+p], a[k*n+q]
		a[k*n+p], a[k*n+q] = float64(c*x)-float64(s*y), float64(s*x)+float64(c*y)
	}
	for k := range n {
		x, y := a[p*n+k], a[q*n+k]
		a[p*n+k], a[q*n+k] = float64(c*x)-float64(s*y), float64(s*x)+float64(c*y)
	}
	for k := range n {
		x, y := v[k*n+p], v[k*n+q]
		v[k*n+p], v[k*n+q] = float64(c*x)-float64(s*y), float64(s*x)+float64(c*y)
	}
}
