package recipe

// ProgressiveSizes returns the sizes of the images, in pixels, of a training that begins with first
// and ends with last: four, or fewer if there are not as many between them. Those between are at equal
// distances, rounded to a size that SizeFor may choose. Each is for the same share of the epochs, as
// in EfficientNetV2's progressive learning (Tan and Le 2021, https://arxiv.org/abs/2104.00298).
func ProgressiveSizes(first, last int) []int {
	const stages = 4
	list := []int{first}
	for i := 1; i < stages-1; i++ {
		if size := nearestSize(first + (last-first)*i/(stages-1)); size > list[len(list)-1] && size < last {
			list = append(list, size)
		}
	}
	return append(list, last)
}

// nearestSize returns the one of sizes that is nearest to a number of pixels, or the number itself
// beyond them.
func nearestSize(pixels int) int {
	if last := sizes[len(sizes)-1]; pixels > last || pixels < sizes[0] {
		return pixels
	}
	near := sizes[0]
	for _, s := range sizes {
		if max(s-pixels, pixels-s) <= max(near-pixels, pixels-near) {
			near = s
		}
	}
	return near
}
