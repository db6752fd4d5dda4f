package data

import "math"

// pixelStats returns the mean and the standard deviation (std) of pixels scaled to
// [0, 1]. Its sums are integers and therefore exact.
func pixelStats(pixels []uint8) (mean, std float64) {
	if len(pixels) == 0 {
		return 0, 0
	}
	var count [256]int64
	for _, p := range pixels {
		count[p]++
	}
	var sum, squares int64
	for v, c := range count {
		sum += int64(v) * c
		squares += int64(v) * int64(v) * c
	}
	n := float64(len(pixels))
	m := float64(sum) / n
	variance := max(float64(squares)/n-float64(m*m), 0)
	return m / 255, math.Sqrt(variance) / 255
}
