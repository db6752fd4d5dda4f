package elements

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/residual-ml/residual/tensor"
)

func TestFloat16Exhaustively(t *testing.T) {
	for h := range 1 << 16 {
		got := float64(FromFloat16(uint16(h)))
		sign, exponent, fraction := 1.0, h>>10&31, float64(h&1023)
		if h>>15 == 1 {
			sign = -1
		}
		want := sign * math.Ldexp(1024+fraction, exponent-25)
		switch {
		case exponent == 31 && fraction > 0:
			want = math.NaN()
		case exponent == 31:
			want = math.Inf(int(sign))
		case exponent == 0:
			want = math.Copysign(math.Ldexp(fraction, -24), sign)
		}
		if !(math.IsNaN(got) && math.IsNaN(want)) && math.Float64bits(got) != math.Float64bits(want) {
			t.Fatalf("%#04x: got %v, want %v", h, got, want)
		}
	}
}

// Decode asks for elements in order and in pieces of complete elements, for every type.
func TestDecodePieces(t *testing.T) {
	shape := tensor.Shape{3, 40_001} // more than one piece of any type
	for _, dtype := range Types() {
		size, _ := Bits(dtype)
		size /= 8
		total, one := 0, byte(0x40)
		if dtype == "BOOL" {
			one = 1
		}
		got, err := Decode(dtype, shape, func(piece []byte) error {
			if int64(len(piece))%size != 0 {
				t.Fatalf("%s: a piece of %d bytes", dtype, len(piece))
			}
			for i := range piece {
				piece[i] = 0
				if at := total + i; at/int(size)&1 == 1 && at%int(size) == int(size)-1 {
					piece[i] = one // the upper byte of every second element
				}
			}
			total += len(piece)
			return nil
		})
		if err != nil || total != shape.Numel()*int(size) || !got.Shape().Equal(shape) {
			t.Fatalf("%s: %v, %d bytes, shape %v", dtype, err, total, got.Shape())
		}
		for i := range shape.Numel() {
			if got.DType() == tensor.Int64 && (got.Ints()[i] != 0) != (i&1 == 1) ||
				got.DType() == tensor.Float32 && (got.Data()[i] != 0) != (i&1 == 1) {
				t.Fatalf("%s: element %d is wrong: pieces are out of order", dtype, i)
			}
		}
	}
}

func TestDecodeReports(t *testing.T) {
	broken := errors.New("broken")
	if _, err := Decode("F32", tensor.Shape{2}, func([]byte) error { return broken }); err != broken {
		t.Errorf("a failed read: %v", err)
	}
	for _, dtype := range []string{"C64", "F4", "F128"} {
		_, err := Decode(dtype, tensor.Shape{2}, func([]byte) error { return nil })
		if err == nil || !strings.Contains(err.Error(), "type "+dtype+" cannot be read") {
			t.Errorf("%s: %v", dtype, err)
		}
	}
	x, err := Decode("U8", tensor.Shape{0, 3}, func([]byte) error { return broken })
	if err != nil || x.Numel() != 0 {
		t.Errorf("no elements: %v", err)
	}
}
