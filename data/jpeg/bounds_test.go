package jpeg

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
)

// withScans inserts copies of the scan that begins with header after it.
func withScans(t *testing.T, content []byte, header string, copies int) []byte {
	t.Helper()
	from := bytes.Index(content, []byte(header))
	if from < 0 {
		t.Fatalf("no scan %x", header)
	}
	to := from + len(header)
	for content[to] != 0xff || content[to+1] == 0 {
		to++
	}
	return append(append(bytes.Clone(content[:to]), bytes.Repeat(content[from:to], copies)...), content[to:]...)
}

// A small file with very many scans is refused.
func TestScansAreBounded(t *testing.T) {
	content := named(t, "progressive 2x2")
	const (
		moreDC = "\xff\xda\x00\x0c\x03\x01\x00\x02\x00\x03\x00\x00\x00\x10" // the last bit of all DCs
		moreAC = "\xff\xda\x00\x08\x01\x01\x00\x06\x3f\x02"                 // the first bits of most other coefficients of luma
	)
	for _, c := range []struct {
		header string
		copies int
		want   string
	}{
		{moreDC, 0, ""},
		{moreDC, 400, ""},
		{moreDC, 500, "more than 500 scans"},
		{moreDC, 2000, "more than 500 scans"},
		{moreAC, 9, ""},
		{moreAC, 400, "over the same coefficients more than 14 times"},
	} {
		many := withScans(t, content, c.header, c.copies)
		_, err := Decode(many)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%d scans more: %v", c.copies, err)
		case c.want != "" && (!errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%d scans more: want %q, got %v", c.copies, c.want, err)
		}
	}
}

// countdown is a context that ends after Err was called left times.
type countdown struct {
	context.Context
	left int
}

func (c *countdown) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

// Decoding ends with its context at any row of blocks of any scan, and the decoder can be reused.
func TestContextEndsADecoding(t *testing.T) {
	for name, rows := range map[string]int{
		"2x2 37x29":              2,         // of units
		"progressive 2x2":        3 * 10,    // in each of 10 scans
		"a scan for each colour": 4 + 2 + 2, // of each colour
		"grey":                   3,
		"restart 1":              3,
		"YCCK with restarts":     3,
		"grey sampled 4x2":       3,
		"progressive grey":       5 * 6,     // in each of 6 scans
		"luma 4x4 41x35":         5 + 3 + 3, // of each colour
		"progressive luma 4x4":   18 + 6*3*2,
	} {
		content := named(t, name)
		all := &countdown{context.Background(), 1 << 30}
		full, err := DecodePart(all, content, nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		asked := 1<<30 - all.left
		if asked < rows {
			t.Errorf("%s: the context is asked %d times in at least %d rows", name, asked, rows)
		}
		for n := range asked {
			p, err := DecodePart(&countdown{context.Background(), n}, content, nil)
			if !errors.Is(err, context.Canceled) || p.Pix != nil {
				t.Fatalf("%s: a context that ends at question %d of %d: %v", name, n, asked, err)
			}
		}
		if p, err := Decode(content); err != nil || !bytes.Equal(p.Pix, full.Pix) {
			t.Errorf("%s: decodes differently after that: %v", name, err)
		}
	}
}

// The end marker of a complete image may be missing. An incomplete image is an error.
func TestEndMarkerMayBeMissing(t *testing.T) {
	for _, name := range []string{"2x2 37x29", "progressive 2x2", "restart 7B", "a scan for each colour", "four colours in four scans", "progressive grey"} {
		content := named(t, name)
		want, err := Decode(content)
		if err != nil {
			t.Fatal(err)
		}
		cut := content[:len(content)-2]
		for behind, tail := range map[string]string{"nothing": "", "half a marker": "\xff", "a trailer": strings.Repeat("SEFT", 99), "another segment": "\xff\xe0\x10"} {
			p, err := Decode(append(bytes.Clone(cut), tail...))
			if err != nil || !bytes.Equal(p.Pix, want.Pix) {
				t.Errorf("%s: with %s in place of the end marker: %v", name, behind, err)
			}
		}
		if _, err := Decode(append(bytes.Clone(cut[:len(cut)-8]), strings.Repeat("SEFT", 0)...)); err == nil {
			t.Errorf("%s: is decoded without its last bytes", name)
		}
	}
	// An image can be decoded without the bits in the last scan of a progressive file, but a
	// file without that scan looks like one that is cut short.
	content := named(t, "progressive 2x2")
	last := bytes.LastIndex(content, []byte{0xff, 0xda})
	if _, err := Decode(content[:last]); err == nil || !strings.Contains(err.Error(), "it has no end") {
		t.Errorf("a progressive file without its last scan: %v", err)
	}
}

// The errors for kinds that are not decoded name the kind.
func TestUnsupportedKindsAreNamed(t *testing.T) {
	for name, want := range map[string]string{
		"arithmetic": "arithmetic coding", "two colours": "2 colours", "factors 3 and 2": "a colour sampled 2x1, which does not divide the largest factors, 3x1",
		"factors 1x3 and 1x2": "a colour sampled 1x2", "chroma without its scans": "the scans leave out bits of coefficient 1 of colour 2",
	} {
		if _, err := Decode(named(t, name)); !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: want %q, got %v", name, want, err)
		}
	}
}
