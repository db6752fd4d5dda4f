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

// roundBlock has the arguments of one call of a product kernel that rounds its sums, for
// several register blocks with the same number of rows.
type roundBlock struct {
	y, a, b      *uint16
	table        **uint16
	segs         *int
	nsegs, k     int
	crs, ars     int // of y; of a, or of the table
	first        int // the offset of the first row in a, or what is added to the table's addresses
	rows, blocks int
}

// sumBlock is roundBlock for a product kernel that sums its results.
type sumBlock struct {
	roundBlock
	sums         *float32
	shift        *float32 // of results
	fresh        int
	res, gate, x *uint16 // of gradients
	mean         *float32
}

// drain has the operands with which sums are finished, at the first row of a call.
type drain struct {
	scale, shift *float32
	res          *uint16
	floor        float32
}
