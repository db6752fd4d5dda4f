package safetensors

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/elements"
)

// maxHeader is the longest header that the reference implementation accepts, in bytes.
const maxHeader = 100_000_000

// metadataKey is the only name in a header that is not a tensor's.
const metadataKey = "__metadata__"

const damaged = "the file is damaged or no safetensors file; copy, download or export it again"

type header struct {
	entries  []entry        // in the header's order
	index    map[string]int // of entries, by name
	metadata map[string]string
}

type entry struct {
	name       string
	dtype      string
	shape      tensor.Shape
	begin, end int64 // offsets into the data
}

// readHeader returns the checked header and the offset of the data.
func readHeader(r io.ReaderAt, size int64) (header, int64, error) {
	var prefix [8]byte
	if size < int64(len(prefix)) {
		return header{}, 0, fmt.Errorf("%d bytes are too few for a safetensors file; %s", max(size, 0), damaged)
	}
	if err := elements.ReadFull(r, prefix[:], 0); err != nil {
		return header{}, 0, fmt.Errorf("reading the header: %w", err)
	}
	length := binary.LittleEndian.Uint64(prefix[:])
	if length > maxHeader {
		return header{}, 0, fmt.Errorf("header of %d bytes, more than the %d allowed; %s", length, maxHeader, damaged)
	}
	if length > uint64(size)-8 {
		return header{}, 0, fmt.Errorf("header of %d bytes in a file of %d; %s", length, size, damaged)
	}
	text := make([]byte, length)
	if err := elements.ReadFull(r, text, 8); err != nil {
		return header{}, 0, fmt.Errorf("reading the header: %w", err)
	}
	start := 8 + int64(length)
	h, err := parseHeader(text)
	if err != nil {
		return header{}, 0, err
	}
	return h, start, h.checkLayout(size - start)
}

// parser reads the tokens of a header. encoding/json alone would accept duplicate keys
// (the last one wins), so two readers could see different tensors in one file, and it
// would build whatever nesting a file contains.
type parser struct{ d *json.Decoder }

func parseHeader(text []byte) (header, error) {
	if len(text) == 0 || text[0] != '{' {
		return header{}, fmt.Errorf("the header does not begin with {; %s", damaged)
	}
	if !utf8.Valid(text) {
		return header{}, fmt.Errorf("the header is not UTF-8; %s", damaged)
	}
	p := parser{json.NewDecoder(bytes.NewReader(text))}
	p.d.UseNumber()
	h := header{index: map[string]int{}}
	seenMetadata := false
	err := p.object("the header", func(key string) (err error) {
		if key == metadataKey {
			if seenMetadata {
				return fmt.Errorf("the header holds %s twice; %s", metadataKey, damaged)
			}
			seenMetadata = true
			h.metadata, err = p.metadata()
			return err
		}
		if _, twice := h.index[key]; twice {
			return fmt.Errorf("tensor %s: occurs twice in the header; %s", elements.Quote(key), damaged)
		}
		e, err := p.entry(key)
		if err != nil {
			return fmt.Errorf("tensor %s: %w", elements.Quote(key), err)
		}
		h.index[key] = len(h.entries)
		h.entries = append(h.entries, e)
		return nil
	})
	if err != nil {
		return header{}, err
	}
	if rest := bytes.TrimRight(text[p.d.InputOffset():], " "); len(rest) > 0 {
		return header{}, fmt.Errorf("%d bytes follow the header's closing }; %s", len(rest), damaged)
	}
	return h, nil
}

// object reads { key: value ... }, calling value with the decoder positioned before each value.
func (p parser) object(what string, value func(key string) error) error {
	if err := p.delim(what, '{'); err != nil {
		return err
	}
	for p.d.More() {
		key, err := p.text("a key of " + what)
		if err != nil {
			return err
		}
		if err := value(key); err != nil {
			return err
		}
	}
	return p.delim(what, '}')
}

func (p parser) metadata() (map[string]string, error) {
	m := map[string]string{}
	err := p.object(metadataKey, func(key string) (err error) {
		if _, twice := m[key]; twice {
			return fmt.Errorf("%s: key %s occurs twice; %s", metadataKey, elements.Quote(key), damaged)
		}
		m[key], err = p.text(metadataKey + " " + elements.Quote(key))
		return err
	})
	return m, err
}

func (p parser) entry(name string) (entry, error) {
	e := entry{name: name}
	seen := map[string]bool{}
	err := p.object("its entry", func(key string) (err error) {
		if seen[key] {
			return fmt.Errorf("%s occurs twice; %s", elements.Quote(key), damaged)
		}
		seen[key] = true
		switch key {
		case "dtype":
			e.dtype, err = p.text(key)
		case "shape":
			err = p.numbers(key, func(n int64) error {
				if n > math.MaxInt {
					return fmt.Errorf("size %d in its shape is too large for this machine; %s", n, damaged)
				}
				e.shape = append(e.shape, int(n))
				return nil
			})
		case "data_offsets":
			offsets := make([]int64, 0, 2)
			err = p.numbers(key, func(n int64) error {
				if len(offsets) == 2 {
					return fmt.Errorf("more than two data_offsets; %s", damaged)
				}
				offsets = append(offsets, n)
				return nil
			})
			if err == nil && len(offsets) != 2 {
				err = fmt.Errorf("%d data_offsets in place of two; %s", len(offsets), damaged)
			}
			if err == nil {
				e.begin, e.end = offsets[0], offsets[1]
			}
		default:
			err = fmt.Errorf("unknown field %s; %s", elements.Quote(key), damaged)
		}
		return err
	})
	if err != nil {
		return entry{}, err
	}
	for _, field := range []string{"dtype", "shape", "data_offsets"} {
		if !seen[field] {
			return entry{}, fmt.Errorf("has no %s; %s", field, damaged)
		}
	}
	return e, e.check()
}

// check compares the entry's length with its shape and type.
func (e *entry) check() error {
	bits, ok := elements.Bits(e.dtype)
	if !ok {
		return fmt.Errorf("unknown type %s; the types that can be read are %v", elements.Quote(e.dtype), Types())
	}
	if e.begin > e.end {
		return fmt.Errorf("data_offsets [%d, %d] run backwards; %s", e.begin, e.end, damaged)
	}
	// Zeros are left out of the checked product, so that a size of zero cannot hide an
	// overflow elsewhere in the shape.
	empty, product := false, bits
	for _, d := range e.shape {
		if d == 0 {
			empty = true
			continue
		}
		if product > math.MaxInt64/int64(d) {
			return fmt.Errorf("shape %s has more elements than can be counted; %s", elements.Quote(e.shape.String()), damaged)
		}
		product *= int64(d)
	}
	if empty {
		product = 0
	}
	if product/8 > math.MaxInt {
		return fmt.Errorf("shape %s of %s is too large for this machine; use a 64-bit one", elements.Quote(e.shape.String()), e.dtype)
	}
	if product%8 != 0 {
		return fmt.Errorf("shape %s of %s does not fill whole bytes; %s", elements.Quote(e.shape.String()), e.dtype, damaged)
	}
	if length := e.end - e.begin; length != product/8 {
		return fmt.Errorf("shape %s of %s takes %d bytes, but data_offsets [%d, %d] span %d; %s",
			e.shape, e.dtype, product/8, e.begin, e.end, length, damaged)
	}
	return nil
}

// checkLayout requires that the tensors cover the data without gaps or overlaps.
func (h *header) checkLayout(dataLen int64) error {
	order := make([]*entry, len(h.entries))
	for i := range order {
		order[i] = &h.entries[i]
	}
	slices.SortStableFunc(order, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.end, b.end))
	})
	at := int64(0)
	for _, e := range order {
		switch {
		case e.end > dataLen:
			return fmt.Errorf("tensor %s: ends at byte %d of the data, of which the file holds %d; the file is cut short, copy or download it again",
				elements.Quote(e.name), e.end, dataLen)
		case e.begin < at:
			return fmt.Errorf("tensor %s: starts at byte %d, inside the tensor before it; %s", elements.Quote(e.name), e.begin, damaged)
		case e.begin > at:
			return fmt.Errorf("tensor %s: leaves a gap of %d bytes before it; %s", elements.Quote(e.name), e.begin-at, damaged)
		}
		at = e.end
	}
	if at != dataLen {
		return fmt.Errorf("%d bytes of data belong to no tensor; %s", dataLen-at, damaged)
	}
	return nil
}

func (p parser) token(what string) (json.Token, error) {
	t, err := p.d.Token()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("%s: the header is no valid JSON (%w); %s", what, err, damaged)
	}
	return t, nil
}

func (p parser) delim(what string, want json.Delim) error {
	t, err := p.token(what)
	if err != nil {
		return err
	}
	if t != want {
		return fmt.Errorf("%s: found %s where %v belongs; %s", what, show(t), want, damaged)
	}
	return nil
}

func (p parser) text(what string) (string, error) {
	t, err := p.token(what)
	if err != nil {
		return "", err
	}
	s, ok := t.(string)
	if !ok {
		return "", fmt.Errorf("%s: found %s where a string belongs; %s", what, show(t), damaged)
	}
	return s, nil
}

// numbers reads a list of non-negative integers in plain digits.
func (p parser) numbers(what string, each func(int64) error) error {
	if err := p.delim(what, '['); err != nil {
		return err
	}
	for p.d.More() {
		t, err := p.token(what)
		if err != nil {
			return err
		}
		digits, ok := t.(json.Number)
		if !ok {
			return fmt.Errorf("%s: found %s where a number belongs; %s", what, show(t), damaged)
		}
		n, err := strconv.ParseUint(string(digits), 10, 63)
		if err != nil {
			return fmt.Errorf("%s: %s is not a whole number from 0 to 2^63-1; %s", what, elements.Quote(string(digits)), damaged)
		}
		if err := each(int64(n)); err != nil {
			return err
		}
	}
	return p.delim(what, ']')
}

func show(t json.Token) string { return elements.Quote(fmt.Sprint(t)) }
