package folder

import "math"

// HeldOut is how many of a class's images Holdout wants to test on: a share, rounded,
// but at least one, and never all.
func HeldOut(pictures int, share float64) int {
	if pictures < 2 {
		return 0
	}
	return min(max(int(math.Round(share*float64(pictures))), 1), pictures-1)
}
