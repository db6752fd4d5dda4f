package folder

import "math"

// HeldOut returns how many of a class's images Index.Holdout holds out: the share, rounded,
// but at least one and never all. It is 0 for fewer than two images.
func HeldOut(images int, share float64) int {
	if images < 2 {
		return 0
	}
	return min(max(int(math.Round(share*float64(images))), 1), images-1)
}
