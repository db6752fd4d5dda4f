package tensor

import (
	"errors"
	"io/fs"
	"runtime"
	"testing"
)

// panicOf returns what f panics with.
func panicOf(f func()) (value any) {
	defer func() { value = recover() }()
	f()
	return nil
}

// recovers runs f and returns the Misuse that it panics with.
func recovers(f func()) (m *Misuse) {
	defer func() { m = Recovered(recover()) }()
	f()
	return nil
}

func TestRecovered(t *testing.T) {
	if m := recovers(func() {}); m != nil {
		t.Errorf("no panic became %v", m)
	}
	m := recovers(func() { FromSlice([]float32{1, 2}, 3) })
	if m == nil || m.Error() != "tensor.FromSlice: shape [3] holds 3 elements, got 2" {
		t.Errorf("a misuse became %v", m)
	}
	if m := recovers(func() { panic(Misusef("weights: %w", fs.ErrNotExist)) }); !errors.Is(m, fs.ErrNotExist) {
		t.Errorf("%v wraps nothing", m)
	}

	var none []int
	if _, is := panicOf(func() { recovers(func() { _ = none[0] }) }).(runtime.Error); !is {
		t.Error("a runtime error did not pass")
	}
	if r := panicOf(func() { recovers(func() { panic("lost count") }) }); r != "lost count" {
		t.Errorf("a string passed as %v", r)
	}
	if r := panicOf(func() { recovers(func() { panic(fs.ErrNotExist) }) }); r != fs.ErrNotExist {
		t.Errorf("an error passed as %v", r)
	}
}
