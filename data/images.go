package data

import "github.com/residual-ml/residual/data/transforms"

// Images is a data set whose images have sizes of their own, usually larger than those that
// Get returns. The transforms of a training work on these.
type Images interface {
	Dataset
	// Image returns image i in its own size, with Info().Channels channels, and its
	// label. The pixels must not be changed. It is safe for concurrent use and gives the
	// same image every time.
	Image(i int) (transforms.Image, int, error)
}

// ImageParts is a data set that can read a part of an image in less time than all of it.
type ImageParts interface {
	Images
	// Part calls choose with the height and width of image i and returns the part that
	// choose returns, with the pixels that Image has there, and the label. It may call
	// choose more than once: for this image, or for another that takes its place.
	Part(i int, choose func(height, width int) transforms.Crop) (transforms.Image, int, error)
}

// ImageLender is a data set that lends its images, in their own sizes, so that it can bound
// the memory of all that are in use at once.
type ImageLender interface {
	Images
	// Lend calls use with the image that Image returns, and returns the label; after an
	// error it does not call use. use must not keep the pixels.
	Lend(i int, use func(m transforms.Image)) (label int, err error)
}
