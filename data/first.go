package data

import "github.com/residual-ml/residual/data/transforms"

// First returns the first n pictures of ds, or all where n is 0 or there are
// fewer. It is one of Pictures when ds is.
func First(ds Dataset, n int) Dataset {
	if n <= 0 || n >= ds.Len() {
		return ds
	}
	if p, ok := ds.(Pictures); ok {
		return firstPictures{first{ds, n}, p}
	}
	return first{ds, n}
}

// first is a data set cut short.
type first struct {
	Dataset
	n int
}

func (f first) Len() int { return f.n }

type firstPictures struct {
	first
	pictures Pictures
}

func (f firstPictures) Picture(i int) (transforms.Image, int, error) { return f.pictures.Picture(i) }
