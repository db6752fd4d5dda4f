package forward

import (
	"image"
	"math"

	"github.com/residual-ml/residual/tensor"
)

// Saliency is a saliency map: how much each pixel of the model's input influences the logit of a
// class (Simonyan et al., "Deep Inside Convolutional Networks: Visualising Image Classification
// Models and Saliency Maps", 2013, section 3.1).
type Saliency struct {
	Class         int       // the explained class
	Logit         float64   // logit of Class
	Height, Width int       // size of the input
	Values        []float32 // row by row: the largest magnitude of the gradient over the channels
}

// InputGradient returns the gradient of one logit of each image with respect to that image: for
// images [N, C, H, W] a tensor of the same shape, in evaluation mode. A class below 0 stands for
// the most likely one. It is what PyTorch leaves in images.grad after images.requires_grad_()
// and logits[i, classes[i]].backward() for every i. The computation is in FP32 regardless of the
// runner's precision. The tensor belongs to the caller.
func (r *Runner) InputGradient(images *tensor.Tensor, classes []int) (*tensor.Tensor, error) {
	_, gradient, err := r.inputGradient(images, classes)
	return gradient, err
}

func (r *Runner) inputGradient(images *tensor.Tensor, classes []int) ([]explained, *tensor.Tensor, error) {
	p, err := r.explanation(&r.saliency, images.Shape(), nil)
	if err != nil {
		return nil, nil, err
	}
	list, err := r.explain(p, images, classes)
	if err != nil {
		return nil, nil, err
	}
	return list, tensor.FromSlice(p.values(p.gradient), images.Shape()...), p.Device().Err()
}

// Saliency returns the saliency map of one class for each image of a batch [N, C, H, W]: the
// largest magnitude of InputGradient over the channels.
func (r *Runner) Saliency(images *tensor.Tensor, classes []int) ([]Saliency, error) {
	list, gradient, err := r.inputGradient(images, classes)
	if err != nil {
		return nil, err
	}
	s := images.Shape()
	area := s[2] * s[3]
	out := make([]Saliency, s[0])
	for i, e := range list {
		values := make([]float32, area)
		for j, d := range gradient.Data()[i*s[1]*area : (i+1)*s[1]*area] {
			values[j%area] = max(values[j%area], float32(math.Abs(float64(d))))
		}
		out[i] = Saliency{e.class, e.logit, s[2], s[3], values}
	}
	return out, nil
}

// Image returns the map in grey: black for 0 and white for the largest value.
func (s Saliency) Image() *image.Gray {
	img, largest := image.NewGray(image.Rect(0, 0, s.Width, s.Height)), float32(0)
	for _, v := range s.Values {
		largest = max(largest, v)
	}
	if largest > 0 {
		for i, v := range s.Values {
			img.Pix[i] = uint8(math.Round(255 * float64(v/largest)))
		}
	}
	return img
}
