package onnx

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// damaged ends the error messages about files that no exporter writes.
const damaged = "the file is damaged or no ONNX file; export or download it again"

// field is one field of a message: a number as bits, or bytes.
type field struct {
	number protowire.Number
	kind   protowire.Type
	bits   uint64
	bytes  []byte
}

// fields calls visit for the fields of a message, in order.
func fields(message []byte, visit func(field) error) error {
	for b := message; len(b) > 0; {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return notProto(len(message)-len(b), n)
		}
		b = b[n:]
		f := field{number: number, kind: kind}
		switch kind {
		case protowire.VarintType:
			f.bits, n = protowire.ConsumeVarint(b)
		case protowire.Fixed32Type:
			var v uint32
			v, n = protowire.ConsumeFixed32(b)
			f.bits = uint64(v)
		case protowire.Fixed64Type:
			f.bits, n = protowire.ConsumeFixed64(b)
		case protowire.BytesType:
			f.bytes, n = protowire.ConsumeBytes(b)
		default:
			return fmt.Errorf("field %d is a group, which ONNX does not have; %s", number, damaged)
		}
		if n < 0 {
			return notProto(len(message)-len(b), n)
		}
		if err := visit(f); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// notProto returns the error for bytes that protowire rejects with code n.
func notProto(at, n int) error {
	return fmt.Errorf("byte %d of the message: %w; %s", at, protowire.ParseError(n), damaged)
}

// count returns how many fields of a message have each of the given numbers, so that
// lists can be allocated once.
func count(message []byte, numbers ...protowire.Number) ([]int, error) {
	found := make([]int, len(numbers))
	err := fields(message, func(f field) error {
		for i, n := range numbers {
			if f.number == n {
				found[i]++
			}
		}
		return nil
	})
	return found, err
}

// once records which fields of a message were seen, one bit per field number.
type once uint64

// check refuses a second field with the same number unless it is a list. The format lets
// the last of several win, or merges them, so readers that differ in this could see
// different models in one file.
func (o *once) check(f field, lists ...protowire.Number) error {
	if f.number > 63 || slices.Contains(lists, f.number) {
		return nil
	}
	if *o>>f.number&1 != 0 {
		return fmt.Errorf("field %d occurs twice; %s", f.number, damaged)
	}
	*o |= 1 << f.number
	return nil
}

func (f field) want(kind protowire.Type) error {
	if f.kind != kind {
		return fmt.Errorf("field %d has wire type %d where %d belongs; %s", f.number, f.kind, kind, damaged)
	}
	return nil
}

func (f field) int(to *int64) error {
	*to = int64(f.bits)
	return f.want(protowire.VarintType)
}

func (f field) text(to *string) error {
	if err := f.want(protowire.BytesType); err != nil {
		return err
	}
	if !utf8.Valid(f.bytes) {
		return fmt.Errorf("field %d is not UTF-8; %s", f.number, damaged)
	}
	*to = string(f.bytes)
	return nil
}

func (f field) message(to *[]byte) error {
	*to = f.bytes
	return f.want(protowire.BytesType)
}

// ints appends the numbers of a list's field, which may be packed.
func (f field) ints(to *[]int64) error {
	if f.kind != protowire.BytesType {
		var v int64
		if err := f.int(&v); err != nil {
			return err
		}
		*to = append(*to, v)
		return nil
	}
	n := 0 // every varint ends with a byte below 128
	for _, c := range f.bytes {
		if c < 0x80 {
			n++
		}
	}
	list := grown(*to, n)
	for b := f.bytes; len(b) > 0; {
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return notProto(len(f.bytes)-len(b), n)
		}
		list = append(list, int64(v))
		b = b[n:]
	}
	*to = list
	return nil
}

// floats appends the numbers of a list of float32.
func (f field) floats(to *[]float32) error {
	if f.kind != protowire.BytesType {
		*to = append(*to, math.Float32frombits(uint32(f.bits)))
		return f.want(protowire.Fixed32Type)
	}
	if len(f.bytes)%4 != 0 {
		return fmt.Errorf("field %d has %d bytes, no multiple of 4; %s", f.number, len(f.bytes), damaged)
	}
	list := grown(*to, len(f.bytes)/4)
	for b := f.bytes; len(b) > 0; b = b[4:] {
		v, _ := protowire.ConsumeFixed32(b)
		list = append(list, math.Float32frombits(v))
	}
	*to = list
	return nil
}

// doubles appends the numbers of a list of float64, rounded to float32.
func (f field) doubles(to *[]float32) error {
	if f.kind != protowire.BytesType {
		*to = append(*to, float32(math.Float64frombits(f.bits)))
		return f.want(protowire.Fixed64Type)
	}
	if len(f.bytes)%8 != 0 {
		return fmt.Errorf("field %d has %d bytes, no multiple of 8; %s", f.number, len(f.bytes), damaged)
	}
	list := grown(*to, len(f.bytes)/8)
	for b := f.bytes; len(b) > 0; b = b[8:] {
		v, _ := protowire.ConsumeFixed64(b)
		list = append(list, float32(math.Float64frombits(v)))
	}
	*to = list
	return nil
}

// grown returns list with room for n more elements. The first piece of a list is nearly
// always the only one, and is allocated at its exact length.
func grown[T any](list []T, n int) []T {
	if list == nil {
		return make([]T, 0, n)
	}
	return list
}

// quote quotes text from a file and shortens it to fit a line.
func quote(s string) string {
	const most = 100
	if len(s) <= most {
		return strconv.Quote(s)
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return strconv.Quote(s[:cut]) + "…"
}

// quoteless is quote without quotation marks, for words that need none.
func quoteless(s string) string {
	q := quote(s)
	if q == `"`+s+`"` {
		return s
	}
	return q
}

// maxBytes is the longest possible message of a protocol buffer.
const maxBytes = 1<<31 - 1

// maxAttributes is far more than any operation has.
const maxAttributes = 100
