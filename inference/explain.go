package inference

import (
	"fmt"
	"image"

	"github.com/residual-ml/residual/inference/forward"
	"github.com/residual-ml/residual/tensor"
)

// CAM is a class activation map; see forward.CAM.
type CAM = forward.CAM

// Saliency is a saliency map; see forward.Saliency.
type Saliency = forward.Saliency

// GradCAM explains the logit of a class for one image, which is prepared as by Prepare. A
// class below 0 stands for the most likely one. See forward.Runner.GradCAM for the definition and
// Seen for the part of the image that the map covers.
func (c *Classifier) GradCAM(img image.Image, class int) (CAM, error) {
	x, err := c.Prepare([]image.Image{img})
	if err != nil {
		return CAM{}, err
	}
	maps, err := c.GradCAMs(x, []int{class})
	if err != nil {
		return CAM{}, err
	}
	return maps[0], nil
}

// GradCAMs is GradCAM for a batch on the model's scale, with one class per image.
func (c *Classifier) GradCAMs(batch *tensor.Tensor, classes []int) ([]CAM, error) {
	var maps []CAM
	err := c.exclusively(func() (err error) {
		if maps, err = c.runner.GradCAM(batch, classes); err != nil {
			err = fmt.Errorf("%s: %w", c.path, err)
		}
		return err
	})
	return maps, err
}

// Saliency returns how much each pixel of the model's input influences the logit of a class: the
// magnitude of the gradient for one image, which is prepared as by Prepare. A class below 0 stands
// for the most likely one. Saliency.Image draws the map, which covers the part of the image that
// Seen returns.
func (c *Classifier) Saliency(img image.Image, class int) (Saliency, error) {
	x, err := c.Prepare([]image.Image{img})
	if err != nil {
		return Saliency{}, err
	}
	var s Saliency
	err = c.exclusively(func() error {
		maps, err := c.runner.Saliency(x, []int{class})
		if err != nil {
			return fmt.Errorf("%s: %w", c.path, err)
		}
		s = maps[0]
		return nil
	})
	return s, err
}

// Seen returns the part of an image with these bounds that the model sees: all of the image,
// or its centre if the model's preparation crops it.
func (c *Classifier) Seen(b image.Rectangle) image.Rectangle {
	return c.info.Seen(b)
}
