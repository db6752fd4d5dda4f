package amxemu

import (
	"encoding/binary"
	"fmt"
)

// Palette 1: eight tiles of at most 16 rows of 64 bytes.
const (
	names    = 8
	maxRows  = 16
	rowBytes = 64
)

// A tile has rows of bytes. Bytes outside its configured shape are zero.
type tile [maxRows][rowBytes]byte

// tiles is the AMX state of a thread.
type tiles struct {
	configured bool
	config     [64]byte // as LDTILECFG read it
	rows       [names]int
	bytes      [names]int // bytes of a row
	data       [names]tile
}

// registers are the registers that addresses use. The index of a general register is its
// number in encodings.
type registers struct {
	general    [16]uint64
	ip, fs, gs uint64
}

// memory is the memory of the emulated code. Rows of n bytes lie stride apart. If a row
// cannot be accessed, the error is a pageFault.
type memory interface {
	read(t *tile, at, stride uint64, rows, n int) error
	write(t *tile, at, stride uint64, rows, n int) error
}

// The faults of the manual.
type (
	undefined  struct{ why string } // #UD
	protection struct{ why string } // #GP
	pageFault  struct{ at uint64 }  // #PF
)

func (f undefined) Error() string  { return "undefined instruction: " + f.why }
func (f protection) Error() string { return "general protection: " + f.why }
func (f pageFault) Error() string  { return fmt.Sprintf("page fault at %#x", f.at) }

// execute does what an instruction does, except that the instruction pointer, which must
// be that of the instruction, does not advance. It returns a fault, or an error of the
// memory.
func (s *tiles) execute(in *instruction, r *registers, m memory) error {
	at, stride := in.at.resolve(in.size, r)
	switch in.op {
	case ldtilecfg:
		var t tile
		if err := m.read(&t, at, 0, 1, len(s.config)); err != nil {
			return err
		}
		return s.configure(t[0])
	case sttilecfg:
		t := tile{s.config}
		return m.write(&t, at, 0, 1, len(s.config))
	case tilerelease:
		*s = tiles{}
		return nil
	}
	if err := s.usable(in.tile); err != nil {
		return err
	}
	t := &s.data[in.tile]
	switch in.op {
	case tilezero:
		*t = tile{}
	case tileloadd:
		var loaded tile
		if err := m.read(&loaded, at, stride, s.rows[in.tile], s.bytes[in.tile]); err != nil {
			return err
		}
		*t = loaded
	case tilestored:
		return m.write(t, at, stride, s.rows[in.tile], s.bytes[in.tile])
	case tdpbf16ps:
		return s.dot(in)
	}
	return nil
}

// resolve returns the address of a memory operand and the distance of its rows.
func (a *address) resolve(size int, r *registers) (at, stride uint64) {
	at = uint64(a.disp)
	if a.base != absent {
		at += r.general[a.base]
	}
	if a.relative {
		at += r.ip + uint64(size)
	}
	if a.index != absent {
		stride = r.general[a.index] << a.scale
	}
	switch a.segment {
	case 0x64:
		at += r.fs
	case 0x65:
		at += r.gs
	}
	return at, stride
}

// configure executes LDTILECFG.
func (s *tiles) configure(config [64]byte) error {
	switch {
	case config[0] > 1:
		return protection{fmt.Sprintf("palette %d", config[0])}
	case config[0] == 0:
		*s = tiles{}
		return nil
	case [14]byte(config[2:16]) != [14]byte{}, [16]byte(config[32:48]) != [16]byte{}, [8]byte(config[56:]) != [8]byte{}:
		return protection{"reserved bytes of the tile configuration are not zero"}
	}
	next := tiles{configured: true, config: config}
	for n := range names {
		rows, bytes := int(config[48+n]), int(binary.LittleEndian.Uint16(config[16+2*n:]))
		if rows > maxRows || bytes > rowBytes || (rows == 0) != (bytes == 0) {
			return protection{fmt.Sprintf("tile %d configured to %d rows of %d bytes", n, rows, bytes)}
		}
		next.rows[n], next.bytes[n] = rows, bytes
	}
	*s = next
	return nil
}

// usable returns a fault if a tile is not configured.
func (s *tiles) usable(n int) error {
	switch {
	case !s.configured:
		return undefined{"no tiles are configured"}
	case s.rows[n] == 0:
		return undefined{fmt.Sprintf("tile %d is not configured", n)}
	case s.config[1] != 0:
		return undefined{"the emulator begins no tile in its middle"}
	}
	return nil
}

// dot executes TDPBF16PS.
func (s *tiles) dot(in *instruction) error {
	for _, n := range []int{in.tile, in.first, in.second} {
		if err := s.usable(n); err != nil {
			return err
		}
		if s.bytes[n]%4 != 0 {
			return undefined{fmt.Sprintf("rows of tile %d have %d bytes, no multiple of 4", n, s.bytes[n])}
		}
	}
	c, a, b := in.tile, in.first, in.second
	if s.rows[c] != s.rows[a] || s.bytes[a]/4 != s.rows[b] || s.bytes[c] != s.bytes[b] {
		return undefined{fmt.Sprintf("tiles of %d rows of %d bytes, %d of %d and %d of %d are no product",
			s.rows[c], s.bytes[c], s.rows[a], s.bytes[a], s.rows[b], s.bytes[b])}
	}
	dot(&s.data[c], &s.data[a], &s.data[b], s.rows[c], s.rows[b], s.bytes[c]/4)
	return nil
}
