package npz

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/elements"
)

const (
	maxHeader = 1 << 16 // bytes; numpy.load's own limit for untrusted files is smaller
	maxDims   = 64      // as in NumPy

	damaged = "the file is damaged or numpy.savez did not write it; save it again"
	resave  = "save it as float32 or an integer type"
)

// array describes the elements of an array and where they are.
type array struct {
	dtype     string
	size      int64 // bytes per element
	shape     tensor.Shape
	fortran   bool // the first index changes fastest
	bigEndian bool
	at        int64
}

// types maps NumPy's names of the readable types, without byte order, to package elements' names.
var types = map[string]string{
	"b1": "BOOL", "i1": "I8", "u1": "U8", "i2": "I16", "u2": "U16", "i4": "I32", "u4": "U32", "i8": "I64", "u8": "U64",
	"f2": "F16", "f4": "F32", "f8": "F64",
}

// readHeader reads and checks the header of an array file inside an archive.
func readHeader(r io.ReaderAt, e elements.Entry) (array, error) {
	var prefix [12]byte
	head := prefix[:min(int64(len(prefix)), e.Size)]
	if err := elements.ReadFull(r, head, e.At); err != nil {
		return array{}, err
	}
	if len(head) < len(prefix) || string(head[:len(magic)]) != magic {
		return array{}, fmt.Errorf("does not begin as an array of NumPy; %s", damaged)
	}
	start, length := int64(10), int64(binary.LittleEndian.Uint16(head[8:]))
	if version := head[6]; version == 2 || version == 3 {
		start, length = 12, int64(binary.LittleEndian.Uint32(head[8:]))
	} else if version != 1 {
		return array{}, fmt.Errorf("version %d of the array format; %s", version, damaged)
	}
	if length > maxHeader || length > e.Size-start {
		return array{}, fmt.Errorf("a header of %d bytes in %d, at most %d are possible; %s", length, e.Size, maxHeader, damaged)
	}
	text := make([]byte, length)
	if err := elements.ReadFull(r, text, e.At+start); err != nil {
		return array{}, err
	}
	a, err := parseHeader(string(text))
	if err != nil {
		return array{}, err
	}
	a.at = e.At + start + length
	return a, a.check(e.Size - start - length)
}

// check compares the shape with the number of bytes that are there.
func (a array) check(have int64) error {
	// Zeros are left out of the checked product, so that a size of zero cannot hide an
	// overflow elsewhere in the shape.
	empty, product := false, int64(8)
	for _, d := range a.shape {
		if d == 0 {
			empty = true
			continue
		}
		if product > math.MaxInt/int64(d) {
			return fmt.Errorf("shape %v has more elements than can be counted; %s", a.shape, damaged)
		}
		product *= int64(d)
	}
	want := product / 8 * a.size
	if empty {
		want = 0
	}
	if want != have {
		return fmt.Errorf("shape %v of %s takes %d bytes, but the archive holds %d; %s", a.shape, a.dtype, want, have, damaged)
	}
	return nil
}

// literal parses the few kinds of Python literals that a header consists of.
type literal struct{ rest string }

func parseHeader(text string) (array, error) {
	p := &literal{text}
	var a array
	seen := map[string]bool{}
	bad := func(what string) (array, error) {
		return array{}, fmt.Errorf("%s in its header %s; %s", what, elements.Quote(text), damaged)
	}
	if !p.next("{") {
		return bad("no dict")
	}
	for !p.next("}") {
		key, ok := p.text()
		if !ok || !p.next(":") || seen[key] {
			return bad("no key, or one that occurs twice,")
		}
		seen[key] = true
		switch key {
		case "descr":
			name, ok := p.text()
			if !ok {
				return array{}, fmt.Errorf("holds records and no plain numbers; %s", resave)
			}
			if err := a.describe(name); err != nil {
				return array{}, err
			}
		case "fortran_order":
			switch {
			case p.next("True"):
				a.fortran = true
			case !p.next("False"):
				return bad("a fortran_order that is neither True nor False")
			}
		case "shape":
			if a.shape, ok = p.shape(); !ok {
				return bad("no shape of up to 64 sizes")
			}
		default:
			return bad("an unknown key")
		}
		if !p.next(",") && !strings.HasPrefix(p.rest, "}") {
			return bad("no comma")
		}
	}
	if len(seen) != 3 || strings.Trim(p.rest, " \n") != "" {
		return bad("other than descr, fortran_order and shape")
	}
	return a, nil
}

// describe parses a type such as <f4: byte order, kind and number of bytes.
func (a *array) describe(name string) error {
	if name != "" && strings.Contains("<>|", name[:1]) {
		dtype, ok := types[name[1:]]
		bits, _ := elements.Bits(dtype)
		if a.dtype, a.size, a.bigEndian = dtype, bits/8, name[0] == '>'; ok && (name[0] != '|' || a.size == 1) {
			return nil
		}
	}
	return fmt.Errorf("type %s cannot be read; %s", elements.Quote(name), resave)
}

// next skips a token and the spaces after it.
func (p *literal) next(token string) bool {
	rest, ok := strings.CutPrefix(p.rest, token)
	if ok {
		p.rest = strings.TrimLeft(rest, " ")
	}
	return ok
}

// text parses a quoted string without escapes.
func (p *literal) text() (string, bool) {
	for _, quote := range []string{"'", "\""} {
		if rest, ok := strings.CutPrefix(p.rest, quote); ok {
			s, rest, ok := strings.Cut(rest, quote)
			if !ok || strings.Contains(s, "\\") {
				return "", false
			}
			p.rest = strings.TrimLeft(rest, " ")
			return s, true
		}
	}
	return "", false
}

// shape parses a tuple of sizes.
func (p *literal) shape() (tensor.Shape, bool) {
	shape := tensor.Shape{}
	if !p.next("(") {
		return nil, false
	}
	comma := true
	for !p.next(")") {
		digits := p.rest[:len(p.rest)-len(strings.TrimLeft(p.rest, "0123456789"))]
		n, err := strconv.ParseInt(digits, 10, strconv.IntSize)
		if err != nil || !comma || len(shape) == maxDims {
			return nil, false
		}
		p.next(digits)
		p.next("L") // Python 2's suffix of a long integer
		shape = append(shape, int(n))
		comma = p.next(",")
	}
	return shape, len(shape) != 1 || comma
}
