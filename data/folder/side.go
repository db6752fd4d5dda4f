package folder

import (
	"context"
	"slices"

	"github.com/residual-ml/residual/data/photo"
)

// sideSample is the number of images whose headers ShorterSide reads.
const sideSample = 101

// ShorterSide returns the median of the shorter sides of the images, in pixels. It reads the
// headers of at most 101 of them, evenly spread over the index, and leaves out those that cannot
// be read. It returns 0 if none can, or if ctx has ended.
func (x *Index) ShorterSide(ctx context.Context) int {
	n := min(len(x.Items), sideSample)
	var sides []int
	for i := range n {
		content, _, err := photo.Load(x.Items[i*len(x.Items)/n].Path, photo.Options{})
		if ctx.Err() != nil {
			return 0
		}
		if err != nil {
			continue
		}
		if info, err := photo.Inspect(content, photo.Options{}); err == nil {
			sides = append(sides, min(info.Width, info.Height))
		}
	}
	if len(sides) == 0 {
		return 0
	}
	slices.Sort(sides)
	return sides[len(sides)/2]
}
