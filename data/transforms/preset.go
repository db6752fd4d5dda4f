package transforms

import "github.com/residual-ml/residual/tensor"

// ImageNet returns the normalisation with which torchvision's weights were trained: the mean
// and std of ImageNet's training images, for red, green and blue.
func ImageNet() Normalize {
	return Normalize{Mean: []float64{0.485, 0.456, 0.406}, Std: []float64{0.229, 0.224, 0.225}}
}

// ImageClassification prepares an image for a trained classifier: it resizes the shorter
// side, crops the middle and normalises. It is torchvision's preset of the same name
// (torchvision.transforms._presets); the documentation of weights gives their sizes.
type ImageClassification struct {
	ResizeSize    int // 0 means 256
	CropSize      int // 0 means 224
	Interpolation Interpolation
	Mean, Std     []float64 // both empty means those of ImageNet
}

// Apply returns the image as a tensor [Channels, CropSize, CropSize].
func (p ImageClassification) Apply(m Image) *tensor.Tensor {
	n := Normalize{p.Mean, p.Std}
	if len(p.Mean)+len(p.Std) == 0 {
		n = ImageNet()
	}
	return n.Apply(p.Pixels(m))
}

// Pixels returns the image before Normalize. It computes only the pixels inside the crop, so
// a long and thin image costs no more than a square one.
func (p ImageClassification) Pixels(m Image) Image {
	m.check("ImageClassification")
	resize := Resize{Size: p.ResizeSize, Interpolation: p.Interpolation}
	if resize.Size == 0 {
		resize.Size = 256
	}
	crop := p.CropSize
	if crop == 0 {
		crop = 224
	}
	h, w := resize.Sides(m.Height, m.Width)
	top, left := offset(h, crop), offset(w, crop)
	if top < 0 || left < 0 || h == m.Height && w == m.Width {
		return CenterCrop{Size: crop}.Apply(resize.Apply(m, nil), nil)
	}
	return m.resample(newWindow(w, h, m.Width, m.Height, p.Interpolation, left, top, crop, crop))
}
