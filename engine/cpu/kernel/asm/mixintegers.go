package main

import (
	"fmt"
	"math/big"
	"math/bits"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// operateIntegers computes dst = a + c*b, for an integer c and without carries.
func (x *mixer) operateIntegers(a, b, dst reg.VecPhysical, c *big.Rat) {
	if a == nil || !c.IsInt() {
		panic("no operation on integers")
	}
	factor, negative := c.Num().Int64(), c.Sign() < 0
	if negative {
		factor = -factor
	}
	var temporary reg.VecPhysical
	if factor != 1 {
		to := dst
		if dst == a || factor&(factor-1) != 0 {
			temporary = x.take()
			to = temporary
		}
		x.timesInteger(factor, b, to)
		b = to
	}
	switch words := x.integers == 16; {
	case words && negative:
		x.VPSUBW(b, a, dst)
	case words:
		x.VPADDW(b, a, dst)
	case negative:
		x.VPSUBD(b, a, dst)
	default:
		x.VPADDD(b, a, dst)
	}
	if temporary != nil {
		x.free = append(x.free, temporary)
	}
}

// timesInteger computes the product of b with a power of two, or with one more than that, in
// which case to must not be b.
func (x *mixer) timesInteger(factor int64, b, to reg.VecPhysical) {
	rest := factor & 1
	shift := operand.U8(uint8(bits.TrailingZeros64(uint64(factor - rest))))
	if factor-rest != 1<<shift {
		panic(fmt.Sprintf("a factor of %d", factor))
	}
	if x.integers == 16 {
		x.VPSLLW(shift, b, to)
		if rest == 1 {
			x.VPADDW(b, to, to)
		}
		return
	}
	x.VPSLLD(shift, b, to)
	if rest == 1 {
		x.VPADDD(b, to, to)
	}
}
