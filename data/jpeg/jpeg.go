// Package jpeg decodes JPEG files (ITU-T T.81) or parts of them. It is fast and gives the same
// samples as libjpeg-turbo with its default settings, which Pillow uses: the accurate integer
// transform and smooth upsampling of chroma.
//
// Decode returns all of an image, and DecodePart computes only a part:
//
//	m, err := jpeg.Decode(content)
//
// It decodes Huffman-coded files of 8 bits, baseline, extended and progressive: grey; three
// colours, which are YCbCr or RGB as the JFIF and Adobe markers and the component numbers say;
// and four colours, CMYK or YCCK, which are converted to red, green and blue as in Pillow. Each
// colour may have any sampling factors that divide the largest ones.
//
// The error for other files wraps ErrUnsupported and names the kind: arithmetic coding, 12 bits,
// lossless and hierarchical files, sampling factors that do not divide each other, and
// progressive files without bits that libjpeg would guess.
//
// An image must be complete. Bytes between markers and after the image are ignored, and the end
// marker may be missing, but a file that is cut before its last code is an error, although other
// decoders return the beginning of the image.
package jpeg

import (
	"context"
	"image"
	"io"
)

// Inspect reads the headers of a file, up to its first scan, without decoding the image.
func Inspect(content []byte) (Info, error) {
	d := decoders.Get().(*decoder)
	defer d.release()
	d.reset(context.Background(), content)
	if err := d.markers(true); err != nil {
		return Info{}, err
	}
	return Info{d.width, d.height, len(d.components), d.progressive, d.bytes()}, nil
}

// Decode decodes a file.
func Decode(content []byte) (Image, error) {
	return DecodePart(context.Background(), content, nil)
}

// DecodePart decodes only what is needed for a part of an image. It calls choose with the size of
// the image, and choose returns the part, which must be inside the image and not empty; a nil
// choose stands for all of it. Samples and errors are those of Decode: damage outside the part is
// also an error. When ctx ends, DecodePart returns its error after at most one row of blocks.
func DecodePart(ctx context.Context, content []byte, choose func(width, height int) image.Rectangle) (Image, error) {
	d := decoders.Get().(*decoder)
	defer d.release()
	d.reset(ctx, content)
	d.choose = choose
	if err := d.markers(false); err != nil {
		return Image{}, err
	}
	return d.toImage()
}

// markers reads the markers of the file and decodes its scans. With headers it stops at the first
// scan.
func (d *decoder) markers(headers bool) error {
	if len(d.in) < 2 || d.in[0] != 0xff || d.in[1] != 0xd8 {
		return damaged("it does not begin like a JPEG file")
	}
	for d.at = 2; ; {
		if err := d.ctx.Err(); err != nil {
			return err
		}
		for d.at < len(d.in) && d.in[d.at] != 0xff { // like libjpeg, skip bytes between markers
			d.at++
		}
		for d.at < len(d.in) && d.in[d.at] == 0xff {
			d.at++
		}
		if d.at >= len(d.in) {
			return d.end(damaged("it has no end: %w", io.ErrUnexpectedEOF))
		}
		marker := d.in[d.at]
		d.at++
		switch {
		case marker == 0 || marker == 0x01 || marker >= 0xd0 && marker <= 0xd8:
			continue
		case marker == 0xd9:
			return d.end(nil)
		}
		body, err := d.segmentBody()
		if err != nil {
			return d.end(err)
		}
		if marker == 0xda {
			if err = d.startScan(body, headers); err != nil || headers || !d.manyScans {
				return err // nil when the single scan is decoded
			}
		} else if err = d.header(marker, body, headers); err != nil {
			return err
		}
	}
}

// processes names the coding processes that are not decoded, by their frame markers.
var processes = map[byte]string{
	0xc3: "lossless coding", 0xc5: "hierarchical coding", 0xc6: "hierarchical coding", 0xc7: "hierarchical coding", 0xc8: "an extension",
	0xc9: "arithmetic coding", 0xca: "arithmetic coding", 0xcb: "lossless arithmetic coding",
	0xcd: "hierarchical arithmetic coding", 0xce: "hierarchical arithmetic coding", 0xcf: "hierarchical arithmetic coding", 0xde: "hierarchical coding",
}

// header reads a marker segment other than a scan.
func (d *decoder) header(marker byte, body []byte, headers bool) error {
	if name := processes[marker]; name != "" {
		return unsupported("%s", name)
	}
	switch marker {
	case 0xc0, 0xc1, 0xc2:
		return d.frame(body, marker == 0xc2)
	case 0xc4:
		if !headers {
			return d.huffmanTables(body)
		}
	case 0xdb:
		return d.quantTables(body)
	case 0xdd:
		if len(body) < 2 {
			return damaged("a restart interval of %d bytes", len(body))
		}
		d.interval = int(body[0])<<8 | int(body[1])
	case 0xe0:
		d.jfif = d.jfif || len(body) >= 14 && string(body[:5]) == "JFIF\x00"
	case 0xee:
		if len(body) >= 12 && string(body[:5]) == "Adobe" {
			d.adobe = int(body[11])
		}
	}
	return nil
}

// end completes a file with several scans. cut is the error for a file that is cut short, or nil;
// it does not matter when nothing is missing.
func (d *decoder) end(cut error) error {
	if !d.manyScans {
		if cut == nil {
			cut = damaged("it ends before its image")
		}
		return cut
	}
	for _, c := range d.components {
		if !c.quantSet {
			return damaged("a colour has no scan")
		}
		for k, bits := range c.missingBits {
			switch {
			case !d.progressive || bits == 0:
			case cut != nil:
				return cut
			case k >= 1 && k <= 9: // libjpeg would smooth such blocks (jdcoefct.c, smoothing_ok)
				return unsupported("the scans leave out bits of coefficient %d of colour %d", k, c.id)
			}
		}
	}
	for _, c := range d.components {
		if err := d.transformAll(c); err != nil {
			return err
		}
	}
	return nil
}

// frame reads a frame header, T.81 B.2.2.
func (d *decoder) frame(b []byte, progressive bool) error {
	if d.width != 0 {
		return damaged("it has two frames")
	}
	if len(b) < 6 || len(b) < 6+3*int(b[5]) {
		return damaged("a frame header of %d bytes", len(b))
	}
	if b[0] != 8 {
		return unsupported("samples of %d bits", b[0])
	}
	height, width, n := int(b[1])<<8|int(b[2]), int(b[3])<<8|int(b[4]), int(b[5])
	switch {
	case height == 0:
		return unsupported("the height comes after the image")
	case width == 0:
		return damaged("it has no pixels")
	case n != 1 && n != 3 && n != 4:
		return unsupported("%d colours", n)
	}
	d.width, d.height, d.progressive, d.hMax, d.vMax = width, height, progressive, 1, 1
	for i := range n {
		c := &d.store[i]
		*c = component{plane: c.plane, coefs: c.coefs, id: int(b[6+3*i]), h: int(b[7+3*i] >> 4), v: int(b[7+3*i] & 15), quantIndex: int(b[8+3*i])}
		if c.h < 1 || c.h > 4 || c.v < 1 || c.v > 4 || c.quantIndex > 3 {
			return damaged("colour %d is sampled %dx%d, with table %d", i, c.h, c.v, c.quantIndex)
		}
		if n == 1 { // a single colour always has the resolution of the image
			c.h, c.v = 1, 1
		}
		d.hMax, d.vMax = max(d.hMax, c.h), max(d.vMax, c.v)
		d.components = append(d.components, c)
	}
	for _, c := range d.components {
		if d.hMax%c.h != 0 || d.vMax%c.v != 0 {
			return unsupported("a colour sampled %dx%d, which does not divide the largest factors, %dx%d", c.h, c.v, d.hMax, d.vMax)
		}
		c.width, c.height = ceilDiv(width*c.h, d.hMax), ceilDiv(height*c.v, d.vMax)
		c.fullW, c.fullH = ceilDiv(c.width, 8), ceilDiv(c.height, 8)
		c.blocksWide, c.blocksHigh = ceilDiv(width, 8*d.hMax)*c.h, ceilDiv(height, 8*d.vMax)*c.v
		for k := range c.missingBits {
			c.missingBits[k] = -1
		}
	}
	return nil
}

// bytes returns the memory that decoding needs: for the samples, for the coefficients of files
// with several scans, for the codes and for the result.
func (d *decoder) bytes() int64 {
	n := int64(len(d.in)) + int64(min(len(d.components), 3))*int64(d.width)*int64(d.height)
	for _, c := range d.components {
		blocks := int64(c.blocksWide) * int64(c.blocksHigh)
		n += 64*blocks + 2*margin*8*int64(c.blocksHigh)
		if d.manyScans {
			n += 2 * 64 * blocks
		}
	}
	return n
}
