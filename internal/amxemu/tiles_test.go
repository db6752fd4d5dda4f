package amxemu

import (
	"encoding/binary"
	"errors"
	"testing"
)

// buffer is a memory that begins at address 0x1000.
type buffer []byte

const bufferAt = 0x1000

func (m buffer) read(t *tile, at, stride uint64, rows, n int) error {
	return m.each(at, stride, rows, n, func(r int, b []byte) { copy(t[r][:], b) })
}

func (m buffer) write(t *tile, at, stride uint64, rows, n int) error {
	return m.each(at, stride, rows, n, func(r int, b []byte) { copy(b, t[r][:]) })
}

func (m buffer) each(at, stride uint64, rows, n int, f func(int, []byte)) error {
	for r := range rows {
		row := at + uint64(r)*stride
		if row < bufferAt || row+uint64(n) > bufferAt+uint64(len(m)) {
			return pageFault{row}
		}
		f(r, m[row-bufferAt:][:n])
	}
	return nil
}

// shape is the rows of a tile and the bytes of one.
type shape struct{ rows, bytes int }

// configuration is what LDTILECFG reads.
func configuration(shapes ...shape) (c [64]byte) {
	c[0] = 1
	for n, s := range shapes {
		binary.LittleEndian.PutUint16(c[16+2*n:], uint16(s.bytes))
		c[48+n] = byte(s.rows)
	}
	return c
}

func configured(t *testing.T, shapes ...shape) *tiles {
	t.Helper()
	s := &tiles{}
	if err := s.configure(configuration(shapes...)); err != nil {
		t.Fatal(err)
	}
	return s
}

func counting(n int) buffer {
	m := make(buffer, n)
	for i := range m {
		m[i] = byte(i*7 + i/256)
	}
	return m
}

// TestLoadAndStore loads and stores a tile by every kind of address, also with a negative
// stride. A load clears the bytes outside the tile's configured shape.
func TestLoadAndStore(t *testing.T) {
	r := &registers{ip: 0x10, fs: 0x800, gs: 0x900}
	r.general[r13], r.general[rcx] = bufferAt+3000, ^uint64(49) // -50
	for _, c := range []struct {
		at     address
		begin  int
		stride int
	}{
		{address{base: r13, index: rcx}, 3000, -50},
		{address{base: r13, index: rcx, scale: 2, disp: -100}, 2900, -200},
		{address{base: absent, index: absent, disp: bufferAt + 5}, 5, 0},
		{address{base: absent, index: absent, disp: bufferAt, relative: true}, 0x10 + 9, 0},
		{address{base: absent, index: absent, disp: 0x900, segment: 0x64}, 0x100, 0},
		{address{base: absent, index: absent, disp: 0x900, segment: 0x65}, 0x200, 0},
	} {
		m := counting(4000)
		s := configured(t, shape{}, shape{9, 20})
		s.data[1][8][20], s.data[1][9][0] = 1, 1 // as if it had been larger
		in := instruction{op: tileloadd, size: 9, tile: 1, at: c.at}
		if err := s.execute(&in, r, m); err != nil {
			t.Fatalf("%+v: %v", c.at, err)
		}
		for i := range maxRows {
			for j := range rowBytes {
				want := byte(0)
				if i < 9 && j < 20 {
					want = m[c.begin+i*c.stride+j]
				}
				if got := s.data[1][i][j]; got != want {
					t.Fatalf("%+v: byte %d of row %d is %d, want %d", c.at, j, i, got, want)
				}
			}
		}
		before := string(m)
		in.op = tilestored
		for i := range s.data[1] {
			for j := range s.data[1][i] {
				s.data[1][i][j] ^= 0xff
			}
		}
		if err := s.execute(&in, r, m); err != nil {
			t.Fatalf("%+v: %v", c.at, err)
		}
		for i := range m {
			inside := false
			for row := range 9 {
				from := c.begin + row*c.stride
				inside = inside || from <= i && i < from+20
			}
			if want := before[i] ^ 0xff; inside && m[i] != want || !inside && m[i] != before[i] {
				t.Fatalf("%+v: byte %d of memory is %d, was %d, in a row: %v", c.at, i, m[i], before[i], inside)
			}
		}
	}
}

func TestConfigure(t *testing.T) {
	r := &registers{}
	r.general[rax] = bufferAt
	store := instruction{op: sttilecfg, at: address{base: rax, index: absent}}
	load := instruction{op: ldtilecfg, at: address{base: rax, index: absent}}
	full := configuration(shape{16, 64}, shape{16, 64}, shape{}, shape{1, 1})

	m := buffer(make([]byte, 64))
	copy(m, full[:])
	s := &tiles{}
	if err := s.execute(&load, r, m); err != nil {
		t.Fatal(err)
	}
	s.data[0][1][2] = 3
	if err := s.execute(&load, r, m); err != nil || s.data[0] != (tile{}) {
		t.Errorf("loading a configuration: %v, and tiles are not cleared", err)
	}
	clear(m)
	if err := s.execute(&store, r, m); err != nil || [64]byte(m) != full {
		t.Errorf("storing the configuration: %v, got %v", err, m)
	}
	if err := s.execute(&instruction{op: tilerelease}, r, m); err != nil || s.configured {
		t.Errorf("releasing: %v", err)
	}
	if err := s.execute(&store, r, m); err != nil || [64]byte(m) != [64]byte{} {
		t.Errorf("storing no configuration: %v, got %v", err, m)
	}
	s = configured(t, shape{1, 4})
	if err := s.execute(&load, r, m); err != nil || s.configured { // palette 0
		t.Errorf("loading palette 0: %v, configured %v", err, s.configured)
	}
}

func TestConfigureFaults(t *testing.T) {
	for name, change := range map[string]func(c *[64]byte){
		"palette 2":                func(c *[64]byte) { c[0] = 2 },
		"reserved byte 2":          func(c *[64]byte) { c[2] = 1 },
		"reserved byte 15":         func(c *[64]byte) { c[15] = 1 },
		"a ninth tile":             func(c *[64]byte) { c[32], c[56] = 4, 1 },
		"rows of a ninth tile":     func(c *[64]byte) { c[56] = 1 },
		"bytes of the last name":   func(c *[64]byte) { c[47] = 1 },
		"17 rows":                  func(c *[64]byte) { c[48] = 17 },
		"65 bytes":                 func(c *[64]byte) { c[16] = 65 },
		"256 bytes":                func(c *[64]byte) { c[17] = 1 },
		"rows without bytes":       func(c *[64]byte) { c[55] = 1 },
		"bytes of a row, not rows": func(c *[64]byte) { c[30] = 4 },
	} {
		config := configuration(shape{16, 64})
		change(&config)
		s := configured(t, shape{3, 4})
		var fault protection
		if err := s.configure(config); !errors.As(err, &fault) || s.rows[0] != 3 {
			t.Errorf("%s: %v, want a protection fault and the tiles as they were", name, err)
		}
	}
}

// TestUndefined checks that instructions on tiles with unsuitable shapes are undefined.
func TestUndefined(t *testing.T) {
	product := instruction{op: tdpbf16ps, tile: 0, first: 1, second: 2}
	good := []shape{{3, 20}, {3, 8}, {2, 20}}
	with := func(n int, s shape) []shape {
		shapes := append([]shape(nil), good...)
		shapes[n] = s
		return shapes
	}
	m := counting(4000)
	r := &registers{}
	at := address{base: absent, index: absent, disp: bufferAt}
	if err := configured(t, good...).execute(&product, r, m); err != nil {
		t.Fatalf("a product: %v", err)
	}
	for name, c := range map[string]struct {
		in     instruction
		shapes []shape
	}{
		"tilezero without tiles":     {instruction{op: tilezero}, nil},
		"tilezero of another tile":   {instruction{op: tilezero, tile: 5}, good},
		"tileloadd of another tile":  {instruction{op: tileloadd, tile: 5, at: at}, good},
		"tilestored of another tile": {instruction{op: tilestored, tile: 3, at: at}, good},
		"no second factor":           {product, good[:2]},
		"rows of the first factor":   {product, with(1, shape{4, 8})},
		"rows of the second factor":  {product, with(2, shape{3, 20})},
		"columns of the sum":         {product, with(0, shape{3, 16})},
		"half a pair":                {product, with(1, shape{3, 6})},
		"half a column":              {product, []shape{{3, 18}, {3, 8}, {2, 18}}},
	} {
		s := &tiles{}
		if c.shapes != nil {
			s = configured(t, c.shapes...)
		}
		var fault undefined
		if err := s.execute(&c.in, r, m); !errors.As(err, &fault) {
			t.Errorf("%s: %v, want an undefined instruction", name, err)
		}
	}
}

// TestLoadFault checks that a load that faults does not change its tile.
func TestLoadFault(t *testing.T) {
	s := configured(t, shape{16, 64})
	s.data[0][0][0] = 9
	r := &registers{}
	r.general[rdx] = 64
	in := instruction{op: tileloadd, at: address{base: absent, index: rdx, disp: bufferAt}}
	var fault pageFault
	if err := s.execute(&in, r, counting(1000)); !errors.As(err, &fault) || fault.at != bufferAt+15*64 || s.data[0][0][0] != 9 {
		t.Errorf("%v, tile begins with %d", err, s.data[0][0][0])
	}
}
