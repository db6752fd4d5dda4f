package tensor

import (
	"math"
	"testing"
)

func TestIndexAndReshape(t *testing.T) {
	x := New(2, 3, 4)
	x.Set(7, 1, 2, 3)
	if x.At(1, 2, 3) != 7 || x.Data()[23] != 7 {
		t.Fatalf("element (1,2,3) is not the last of %v", x)
	}
	if got := x.Reshape(6, -1).Shape(); !got.Equal(Shape{6, 4}) {
		t.Fatalf("Reshape(6, -1) = %v", got)
	}
	for _, f := range []func(){
		func() { x.At(2, 0, 0) },
		func() { x.Reshape(5, -1) },
		func() { FromSlice(make([]float32, 3), 2, 2) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("no panic on a wrong shape or index")
				}
			}()
			f()
		}()
	}
}

func TestParseShape(t *testing.T) {
	if s, err := ParseShape("1, 1,224,224"); err != nil || !s.Equal(Shape{1, 1, 224, 224}) {
		t.Fatalf("got %v, %v", s, err)
	}
	for _, bad := range []string{"", "1,,2", "1,0", "1,-3", "a"} {
		if _, err := ParseShape(bad); err == nil {
			t.Errorf("ParseShape(%q) gave no error", bad)
		}
	}
}

func TestBFloat16(t *testing.T) {
	for _, c := range []struct {
		in   float32
		want uint16
	}{
		{1, 0x3f80},
		{math.Float32frombits(0x3f808000), 0x3f80}, // tie, to even
		{math.Float32frombits(0x3f818000), 0x3f82}, // tie, to even
		{math.Float32frombits(0x3f808001), 0x3f81},
		{math.MaxFloat32, 0x7f80},
		{float32(math.Inf(-1)), 0xff80},
	} {
		if got := ToBFloat16(c.in); got != c.want {
			t.Errorf("ToBFloat16(%x) = %x, want %x", math.Float32bits(c.in), got, c.want)
		}
	}
	if nan := FromBFloat16(ToBFloat16(math.Float32frombits(0x7f800001))); nan == nan {
		t.Error("NaN became a number")
	}
	for h := range 1 << 16 {
		if f := FromBFloat16(uint16(h)); f == f && ToBFloat16(f) != uint16(h) {
			t.Fatalf("%#x does not survive the round trip", h)
		}
	}
}
