package folder

import (
	"fmt"
	"runtime"

	"github.com/residual-ml/residual/data/transforms"
)

// imageFormat holds the options on which the pixels of prepared images depend.
type imageFormat struct {
	channels, size, resizeSize, shrink int
	interpolation                      transforms.Interpolation
	maxPixels                          int64
}

// imageCacheVersion counts the changes of decoding and resizing that change pixels.
const imageCacheVersion = 2

// cacheFolder returns a readable folder name for caches of this format.
func (f imageFormat) cacheFolder() string {
	return fmt.Sprintf("%d-%d-%s-%dx%d", f.shrink, f.resizeSize, f.interpolation, f.size, f.channels)
}

// cacheSettings describes everything besides the file that pixels depend on. It includes the
// Go version, because the standard library decodes what package jpeg does not.
func (f imageFormat) cacheSettings() string {
	return fmt.Sprintf("version %d, %s, %s, %d pixels at most", imageCacheVersion, runtime.Version(), f.cacheFolder(), f.maxPixels)
}

// shrinks reports whether an image of h by w pixels is larger than Options.Shrink allows.
func (f imageFormat) shrinks(h, w int) bool { return f.shrink > 0 && min(h, w) > f.shrink }

// shrunk returns the image as the transforms of a training take it: resized when it is too
// large.
func (f imageFormat) shrunk(m transforms.Image) transforms.Image {
	if !f.shrinks(m.Height, m.Width) {
		return m
	}
	return transforms.Resize{Size: f.shrink, Interpolation: f.interpolation}.Apply(m, nil)
}

// small returns the image as Set.Get returns it.
func (f imageFormat) small(m transforms.Image) transforms.Image {
	return transforms.ImageClassification{ResizeSize: f.resizeSize, CropSize: f.size, Interpolation: f.interpolation}.Pixels(m)
}
