//go:build !amd64 || noasm

package pixel

const hasAVX2 = false

func idct2AVX2(a, b *uint8, stride int, coefs, quant *int16) { panic("pixel: no AVX2") }

func upsampleAVX2(dst, near, far *uint8, n, even, odd int) { panic("pixel: no AVX2") }

func yccAVX2(r, g, b, y, cb, cr *uint8, n int) { panic("pixel: no AVX2") }

func horizontalAVX2(dst *uint8, dstStride int, src *uint8, srcStride int, starts *int32, masks *uint8, weights *uint32, groups, taps int, ats *int32) {
	panic("pixel: no AVX2")
}

func verticalAVX2(dst, src *uint8, stride int, weights *uint32, taps, n int) {
	panic("pixel: no AVX2")
}
