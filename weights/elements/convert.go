package elements

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/residual-ml/residual/tensor"
)

// toFloat and toInt convert little-endian elements from src until dst is full.
var toFloat = map[string]func(dst []float32, src []byte) error{
	"F32": func(dst []float32, src []byte) error {
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
		}
		return nil
	},
	"F16": func(dst []float32, src []byte) error {
		for i := range dst {
			dst[i] = FromFloat16(binary.LittleEndian.Uint16(src[2*i:]))
		}
		return nil
	},
	"BF16": func(dst []float32, src []byte) error {
		for i := range dst {
			dst[i] = tensor.FromBFloat16(binary.LittleEndian.Uint16(src[2*i:]))
		}
		return nil
	},
	"F64": func(dst []float32, src []byte) error {
		for i := range dst {
			dst[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(src[8*i:])))
		}
		return nil
	},
}

var toInt = map[string]func(dst []int64, src []byte) error{
	"BOOL": func(dst []int64, src []byte) error {
		for i := range dst {
			if src[i] > 1 {
				return fmt.Errorf("a BOOL of value %d, neither 0 nor 1; the file is damaged, write or download it again", src[i])
			}
			dst[i] = int64(src[i])
		}
		return nil
	},
	"U8": func(dst []int64, src []byte) error {
		for i := range dst {
			dst[i] = int64(src[i])
		}
		return nil
	},
	"I8": func(dst []int64, src []byte) error {
		for i := range dst {
			dst[i] = int64(int8(src[i]))
		}
		return nil
	},
	"U16": func(dst []int64, src []byte) error {
		for i := range dst {
			dst[i] = int64(binary.LittleEndian.Uint16(src[2*i:]))
		}
		return nil
	},
	"I16": func(dst []int64, src []byte) error {
		for i := range dst {
			dst[i] = int64(int16(binary.LittleEndian.Uint16(src[2*i:])))
		}
		return nil
	},
	"U32": func(dst []int64, src []byte) error {
		for i := range dst {
			dst[i] = int64(binary.LittleEndian.Uint32(src[4*i:]))
		}
		return nil
	},
	"I32": func(dst []int64, src []byte) error {
		for i := range dst {
			dst[i] = int64(int32(binary.LittleEndian.Uint32(src[4*i:])))
		}
		return nil
	},
	"U64": func(dst []int64, src []byte) error {
		for i := range dst {
			v := binary.LittleEndian.Uint64(src[8*i:])
			if v > math.MaxInt64 {
				return fmt.Errorf("the U64 value %d does not fit int64; store the tensor as I64", v)
			}
			dst[i] = int64(v)
		}
		return nil
	},
	"I64": func(dst []int64, src []byte) error {
		for i := range dst {
			dst[i] = int64(binary.LittleEndian.Uint64(src[8*i:]))
		}
		return nil
	},
}

// FromFloat16 widens an IEEE 754 binary16 exactly. The payload of a NaN moves to the
// upper bits, as in hardware conversions.
func FromFloat16(h uint16) float32 {
	sign := uint32(h>>15) << 31
	exponent, fraction := uint32(h>>10&31), uint32(h&0x3ff)
	switch exponent {
	case 0: // zero or subnormal: fraction times 2^-24, exact in a float32
		const unit = 1.0 / (1 << 24)
		return math.Float32frombits(sign | math.Float32bits(float32(fraction)*unit))
	case 31: // infinity or NaN
		return math.Float32frombits(sign | 0xff<<23 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+127-15)<<23 | fraction<<13)
}
