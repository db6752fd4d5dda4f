package data

import "errors"

// Floats is a data set of numbers in place of pixels, such as the features that a frozen part of
// a network computes from images. A Loader puts them into its batches as they are; it does
// not normalise them and cannot transform or mix them.
type Floats interface {
	Dataset
	// Floats writes the Info().Numel() numbers of image i into out and returns its label, as
	// Get does with pixels. It is safe for concurrent use and gives the same numbers every time.
	Floats(i int, out []float32) (label int, err error)
}

// checkFloats returns an error for settings of a loader that are for pixels.
func (c LoaderConfig) checkFloats() error {
	if c.Transform != nil || c.Mix != nil || c.Normalize.Mean != nil || c.Normalize.Std != nil {
		return errors.New("the data set has numbers in place of pixels (data.Floats); leave out Transform, Mix and Normalize")
	}
	return nil
}
