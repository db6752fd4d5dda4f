// Package pixel provides the inner loops of decoding and resizing 8-bit images: IDCT2, Upsample
// and YCbCr compute the inverse cosine transform, the upsampling of chroma and the colours of
// JPEG as libjpeg does; Across and Down are the two passes of Pillow's resize. Packages jpeg and
// transforms use them.
//
// Each loop is written in portable Go and in assembly for AVX2, with the same bits. The nested
// module in asm generates the assembly: run "go generate" after a change there. The build tag
// noasm excludes it.
package pixel

//go:generate go run -C asm . -dir ..

// Block2 holds the coefficients of two JPEG blocks. The coefficient with vertical frequency v and
// horizontal frequency u in block i has the index 16*v+8*i+u.
type Block2 = [128]int16

// IDCT2 writes the samples of two blocks to dst, at index a and at index b, with rows that are
// stride apart. It multiplies coefficients by quant, which has index 8*v+u, in 16 bits. The
// transform is libjpeg's jidctint.c, with saturation to 16 bits between its two passes as in
// libjpeg-turbo.
func IDCT2(dst []uint8, a, b, stride int, coefs *Block2, quant *[64]int16) {
	_, _ = dst[a+7*stride+7], dst[b+7*stride+7]
	if hasAVX2 {
		idct2AVX2(&dst[a], &dst[b], stride, &coefs[0], &quant[0])
		return
	}
	idct2Portable(dst[a:], dst[b:], stride, coefs, quant)
}

// Upsample doubles the width of a row of n chroma samples, as libjpeg's "fancy" upsampling does
// (jdsample.c). The row near has a weight of 3/4 and the row far 1/4. For chroma with half the
// height and width, even and odd are 8 and 7 (h2v2_fancy_upsample); for chroma with half the
// width, far is near, and they are 4 and 8 (h2v1_fancy_upsample). near and far have n+2 samples,
// of which the first and the last are the neighbours of the n samples; dst gets 2n.
func Upsample(dst, near, far []uint8, n, even, odd int) {
	_, _, _ = dst[2*n-1], near[n+1], far[n+1]
	if hasAVX2 && n >= 16 {
		upsampleAVX2(&dst[0], &near[0], &far[0], n, even, odd)
		return
	}
	upsamplePortable(dst, near, far, n, even, odd)
}

// YCbCr converts len(y) pixels to red, green and blue, as libjpeg does (jdcolor.c,
// ycc_rgb_convert).
func YCbCr(r, g, b, y, cb, cr []uint8) {
	n := len(y)
	if n == 0 {
		return
	}
	_, _, _, _, _ = r[n-1], g[n-1], b[n-1], cb[n-1], cr[n-1]
	if hasAVX2 && n >= 32 {
		yccAVX2(&r[0], &g[0], &b[0], &y[0], &cb[0], &cr[0], n)
		return
	}
	yccPortable(r, g, b, y, cb, cr)
}

// Bits is the number of fractional bits of the weights of a resize, which add up to 1<<Bits.
const Bits = 22

// Down computes one row of the vertical pass of a resize: the sum of rows of src, which are stride
// apart, times the weights, rounded. Sums wrap as two's complement.
func Down(dst, src []uint8, stride int, weights []uint32) {
	n := len(dst)
	_ = src[(len(weights)-1)*stride+n-1]
	if hasAVX2 && n >= 32 {
		verticalAVX2(&dst[0], &src[0], stride, &weights[0], len(weights), n)
		return
	}
	verticalPortable(dst, src, stride, weights)
}
