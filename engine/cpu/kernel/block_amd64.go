//go:build !noasm

package kernel

// block has the arguments of one call of a product kernel, which computes several
// register blocks with the same number of rows.
type block[T stored | int16 | uint8] struct {
	c             *float32
	a, b          *T
	segs          *int
	nsegs, k      int
	crs, ars, aks int
	bks, first    int // first is the offset of the first row in a
	acc           int
	rows, blocks  int
}
