package kernel

// Seg is one segment of a sum: the offsets into a and b, in elements, at which
// k consecutive terms begin. In a convolution it is one tap of the filter.
type Seg struct{ A, B int }
