package pixel

import (
	"encoding/binary"
	"math"
)

// These are the constants of libjpeg's jidctint.c, multiplied by 2^13.
const (
	f0298, f0390, f0541, f0765, f0899, f1175 = 2446, 3196, 4433, 6270, 7373, 9633
	f1501, f1847, f1961, f2053, f2562, f3072 = 12299, 15137, 16069, 16819, 20995, 25172
)

func saturate(v int32) int16 { return int16(max(math.MinInt16, min(math.MaxInt16, v))) }

// transform8 is one pass of the inverse transform over eight numbers.
func transform8(x *[8]int16, round int32, shift int) (out [8]int16) {
	in := func(i int) int32 { return int32(x[i]) }
	z1 := (in(2) + in(6)) * f0541
	t2, t3 := z1-in(6)*f1847, z1+in(2)*f0765
	t0, t1 := (in(0)+in(4))<<13+round, (in(0)-in(4))<<13+round
	even := [4]int32{t0 + t3, t1 + t2, t1 - t2, t0 - t3}
	z1, z2, z3, z4 := -(in(7)+in(1))*f0899, -(in(5)+in(3))*f2562, in(7)+in(3), in(5)+in(1)
	z5 := (z3 + z4) * f1175
	z3, z4 = z5-z3*f1961, z5-z4*f0390
	odd := [4]int32{in(1)*f1501 + z1 + z4, in(3)*f3072 + z2 + z3, in(5)*f2053 + z2 + z4, in(7)*f0298 + z1 + z3}
	for k := range 4 {
		out[k], out[7-k] = saturate((even[k]+odd[k])>>shift), saturate((even[k]-odd[k])>>shift)
	}
	return out
}

func idct2Portable(a, b []uint8, stride int, coefs *Block2, quant *[64]int16) {
	for i, dst := range [][]uint8{a, b} {
		var work [8][8]int16 // by rows
		for u := range 8 {
			var x [8]int16
			for v := range x {
				x[v] = coefs[16*v+8*i+u] * quant[8*v+u]
			}
			for v, s := range transform8(&x, 1<<10, 11) {
				work[v][u] = s
			}
		}
		for v := range work {
			for u, s := range transform8(&work[v], 1<<17, 18) {
				dst[v*stride+u] = uint8(max(-128, min(127, s)) + 128)
			}
		}
	}
}

func upsamplePortable(dst, near, far []uint8, n, even, odd int) {
	sum := func(i int) int { return 3*int(near[i]) + int(far[i]) }
	left, at := sum(0), sum(1)
	for i := range n {
		right := sum(i + 2)
		dst[2*i] = uint8((3*at + left + even) >> 4)
		dst[2*i+1] = uint8((3*at + right + odd) >> 4)
		left, at = at, right
	}
}

func clamp(v int32) uint8 { return uint8(max(0, min(255, v))) }

func yccPortable(r, g, b, y, cb, cr []uint8) {
	for i, v := range y {
		l, u, w := int32(v), int32(cb[i])-128, int32(cr[i])-128
		r[i] = clamp(l + (91881*w+1<<15)>>16)
		g[i] = clamp(l + (-22554*u-46802*w+1<<15)>>16)
		b[i] = clamp(l + (116130*u+1<<15)>>16)
	}
}

// clip converts a sum in fixed point to a pixel.
func clip(s uint32) uint8 { return clamp(int32(s) >> Bits) }

func verticalPortable(dst, src []uint8, stride int, weights []uint32) {
	if len(weights) == 2 && int32(weights[0]) >= 0 && int32(weights[1]) >= 0 {
		blend(dst, src[:len(dst)], src[stride:][:len(dst)], weights[0], weights[1])
		return
	}
	const block = 64
	var sums [block]uint32
	for x := 0; x < len(dst); x += block {
		out := dst[x:min(x+block, len(dst))]
		acc := sums[:len(out)]
		for i := range acc {
			acc[i] = 1 << (Bits - 1)
		}
		for k, w := range weights {
			row := src[k*stride+x:][:len(acc)]
			for i := range acc {
				acc[i] += uint32(row[i]) * w
			}
		}
		for i, s := range acc {
			out[i] = clip(s)
		}
	}
}

// blend computes a*wa + b*wb, rounded, for eight pixels at a time. A 64-bit word holds two sums of
// 32 bits, which stay below 256<<Bits because the weights add up to 1, except for a unit in the
// last place.
func blend(out, a, b []uint8, wa, wb uint32) {
	const (
		half  = 1 << (Bits - 1)
		both  = half<<32 | half
		lanes = 0xff<<32 | 0xff
	)
	va, vb := uint64(wa), uint64(wb)
	for ; len(out) >= 8; out, a, b = out[8:], a[8:], b[8:] {
		p, q := binary.LittleEndian.Uint64(a), binary.LittleEndian.Uint64(b)
		s0 := (p&lanes)*va + (q&lanes)*vb + both
		s1 := (p>>8&lanes)*va + (q>>8&lanes)*vb + both
		s2 := (p>>16&lanes)*va + (q>>16&lanes)*vb + both
		s3 := (p>>24&lanes)*va + (q>>24&lanes)*vb + both
		binary.LittleEndian.PutUint64(out, s0>>Bits&lanes|s1>>Bits&lanes<<8|
			s2>>Bits&lanes<<16|s3>>Bits&lanes<<24)
	}
	for x := range out {
		out[x] = uint8((half + uint32(a[x])*wa + uint32(b[x])*wb) >> Bits)
	}
}
