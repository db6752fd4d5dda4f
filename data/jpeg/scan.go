package jpeg

import (
	"bytes"
	"image"
	"io"
)

// unitMargin is more than the bytes of one unit of 10 blocks. A coefficient has at most 16 bits of
// code and 15 bits of a number.
const unitMargin = 10*64*4 + 16

// startScan reads a scan header and decodes the scan, unless only the header is asked for.
func (d *decoder) startScan(b []byte, header bool) error {
	if d.width == 0 {
		return damaged("a scan comes before its frame")
	}
	n := 0
	if len(b) > 0 {
		n = int(b[0])
	}
	if n < 1 || n > len(d.components) || len(b) < 4+2*n {
		return damaged("a scan header of %d bytes", len(b))
	}
	s := scanHeader{first: int(b[1+2*n]), last: int(b[2+2*n]), high: int(b[3+2*n] >> 4), low: int(b[3+2*n] & 15)}
	for i := range n {
		var c *component
		for k := i; k < len(d.components) && c == nil; k++ { // the same search as in libjpeg (jdmarker.c, get_sos)
			if d.components[k].id == int(b[1+2*i]) {
				c = d.components[k]
			}
		}
		dc, ac := int(b[2+2*i]>>4), int(b[2+2*i]&15)
		if c == nil || dc > 3 || ac > 3 {
			return damaged("a scan of colour %d with the tables %d and %d", b[1+2*i], dc, ac)
		}
		for _, other := range s.components {
			if other == c {
				return damaged("a scan has colour %d twice", c.id)
			}
		}
		c.dc, c.ac, c.previous = &d.dcs[dc], &d.acs[ac], 0
		if !c.quantSet {
			if !d.haveQuant[c.quantIndex] {
				return damaged("quantization table %d is missing", c.quantIndex)
			}
			c.quant, c.quantSet = d.quants[c.quantIndex], true
		}
		s.components = append(s.components, c)
	}
	if !d.progressive {
		s.first, s.last, s.high, s.low = 0, 63, 0, 0
	}
	if d.scans++; d.scans == 1 {
		d.manyScans = d.progressive || n < len(d.components)
		d.colours = d.coloursOf()
	}
	if header {
		return nil
	}
	s.unitsWide, s.unitsHigh = ceilDiv(d.width, 8*d.hMax), ceilDiv(d.height, 8*d.vMax)
	if n == 1 { // a scan of one colour has its blocks in row order and without padding
		s.unitsWide, s.unitsHigh = s.components[0].fullW, s.components[0].fullH
	}
	if err := d.checkScan(s); err != nil {
		return err
	}
	if d.scans == 1 {
		if err := d.allocate(); err != nil {
			return err
		}
	}
	d.unstuff()
	return d.readScan(&s)
}

// A small file with very many scans would take long to decode. Two limits prevent that. maxScans
// is the limit of libjpeg-turbo's own fuzz tests; usual progressive files have about 10 scans.
// maxWork is the number of coefficients that all scans may go over for each block, which is enough
// to send every bit of every coefficient in a scan of its own.
const (
	maxScans = 500
	maxWork  = 64 * 14
)

// checkScan returns an error for an invalid scan header and for too many scans.
func (d *decoder) checkScan(s scanHeader) error {
	switch {
	case d.scans > maxScans:
		return unsupported("it has more than %d scans", maxScans)
	case s.first > s.last || s.last > 63 || s.low > 13 || s.high != 0 && s.high != s.low+1,
		d.progressive && s.first == 0 && s.last != 0, s.first > 0 && len(s.components) != 1:
		return damaged("a scan of the coefficients %d to %d, bits %d and %d, in %d colours", s.first, s.last, s.high, s.low, len(s.components))
	}
	var blocks, all int64
	for _, c := range s.components {
		if s.first == 0 && s.high == 0 && !c.dc.defined || s.last > 0 && !c.ac.defined {
			return damaged("a table of codes is missing")
		}
		blocks += int64(c.h * c.v)
		for k := s.first; k <= s.last; k++ {
			c.missingBits[k] = int8(s.low)
		}
	}
	if len(s.components) == 1 {
		blocks = 1
	}
	if blocks > 10 {
		return damaged("%d blocks in a unit, where 10 are possible", blocks)
	}
	for _, c := range d.components {
		all += int64(c.blocksWide) * int64(c.blocksHigh)
	}
	d.work += int64(s.unitsWide) * int64(s.unitsHigh) * blocks * int64(s.last-s.first+1)
	if d.work > maxWork*all {
		return unsupported("its scans go over the same coefficients more than %d times", maxWork/64)
	}
	return nil
}

// allocate computes which blocks of each colour are needed and allocates memory for them.
func (d *decoder) allocate() error {
	d.part = image.Rect(0, 0, d.width, d.height)
	if d.choose != nil {
		if p := d.choose(d.width, d.height); !p.Empty() && p.In(d.part) {
			d.part = p
		} else {
			return damaged("part %v of an image of %v was requested", p, d.part)
		}
	}
	for _, c := range d.components {
		hs, vs := d.hMax/c.h, d.vMax/c.v
		// Upsampling of chroma needs the neighbours.
		left, right := max(d.part.Min.X/hs-1, 0), min((d.part.Max.X-1)/hs+2, c.width)
		top, bottom := max(d.part.Min.Y/vs-1, 0), min((d.part.Max.Y-1)/vs+2, c.height)
		c.part = image.Rect(left/8, top/8, ceilDiv(right, 8), ceilDiv(bottom, 8))
		c.stride = 8*c.part.Dx() + 2*margin
		c.plane = ofLength(c.plane, c.stride*8*c.part.Dy())
		if d.manyScans {
			n := c.blocksWide * c.blocksHigh * 64
			c.coefs = ofLength(c.coefs, n)
			clear(c.coefs)
		}
		c.count = 0
		c.pending = [128]int16{}
	}
	return nil
}

// ofLength returns a slice of length n: s if it is large enough, or a new one.
func ofLength[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// unstuff copies the scan at d.at without restart markers and stuffed zeros, and advances d.at to
// the marker that ends the scan or to the end of the file. It sets scanErr to the error that
// readScan returns if codes are missing.
func (d *decoder) unstuff() {
	d.scan, d.segments, d.scanErr = d.scan[:0], d.segments[:0], nil
	in := d.in[d.at:]
	for {
		i := bytes.IndexByte(in, 0xff)
		if i < 0 || i+1 >= len(in) {
			if i < 0 {
				i = len(in)
			}
			d.scan = append(d.scan, in[:i]...)
			d.at, d.scanErr = len(d.in), damaged("it is cut short: %w", io.ErrUnexpectedEOF)
			break
		}
		d.scan = append(d.scan, in[:i]...)
		next := in[i+1]
		if next == 0 {
			d.scan = append(d.scan, 0xff)
			in = in[i+2:]
			continue
		}
		if next == 0xff { // a fill byte
			in = in[i+1:]
			continue
		}
		if next >= 0xd0 && next <= 0xd7 {
			if int(next-0xd0) == len(d.segments)%8 {
				d.segments = append(d.segments, len(d.scan))
				in = in[i+2:]
				continue
			}
			d.scanErr = damaged("restart %d where %d is due", next-0xd0, len(d.segments)%8)
		}
		d.at = len(d.in) - len(in) + i
		break
	}
	d.segments = append(d.segments, len(d.scan))
	d.scan = append(d.scan, make([]byte, unitMargin)...)
}

// begin moves to the start of a segment and reports whether there is one.
func (d *decoder) begin(segment int) bool {
	if segment >= len(d.segments) {
		return false
	}
	at := 0
	if segment > 0 {
		at = d.segments[segment-1]
	}
	d.segment, d.bits, d.eobRun = segment, bits{buf: d.scan, at: at}, 0
	return true
}

// readScan decodes a scan unit by unit.
func (d *decoder) readScan(s *scanHeader) error {
	d.begin(0)
	end := 8 * d.segments[0]
	unitsLeft := d.interval
	for y := range s.unitsHigh {
		if err := d.ctx.Err(); err != nil {
			return err
		}
		for x := range s.unitsWide {
			if d.interval > 0 && unitsLeft == 0 {
				if !d.begin(d.segment + 1) {
					return d.missingCodes("a restart is missing")
				}
				end, unitsLeft = 8*d.segments[d.segment], d.interval
				for _, c := range s.components {
					c.previous = 0
				}
			}
			unitsLeft--
			ok := d.unit(s, x, y)
			if d.bits.used() > end {
				return d.missingCodes("the codes end before unit %d, %d", x, y)
			}
			if !ok {
				return damaged("an invalid code in unit %d, %d", x, y)
			}
		}
	}
	if !d.manyScans {
		for _, c := range d.components {
			c.transform()
		}
	}
	return nil
}

// missingCodes returns the error for a scan that ends too early, with the reason if it is known.
func (d *decoder) missingCodes(format string, args ...any) error {
	if d.scanErr != nil {
		return d.scanErr
	}
	return damaged(format, args...)
}

// unit decodes the blocks of one unit.
func (d *decoder) unit(s *scanHeader, x, y int) bool {
	if len(s.components) == 1 {
		return d.decodeBlock(s, s.components[0], x, y)
	}
	for _, c := range s.components {
		for v := range c.v {
			for h := range c.h {
				if !d.decodeBlock(s, c, x*c.h+h, y*c.v+v) {
					return false
				}
			}
		}
	}
	return true
}

// decodeBlock decodes block (x, y) of a colour.
func (d *decoder) decodeBlock(s *scanHeader, c *component, x, y int) bool {
	if d.manyScans {
		block := (*[64]int16)(c.coefs[(y*c.blocksWide+x)*64:])
		if !d.progressive {
			return d.sequential(c, block)
		}
		return d.refine(s, c, block)
	}
	if x < c.part.Min.X || x >= c.part.Max.X || y < c.part.Min.Y || y >= c.part.Max.Y {
		return d.bits.block(c, &d.discarded, 0)
	}
	if !d.bits.block(c, &c.pending, 8*c.count) {
		return false
	}
	c.blockDone(x, y)
	return true
}
