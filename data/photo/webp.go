package photo

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"io"

	"golang.org/x/image/vp8"
	"golang.org/x/image/vp8l"

	"github.com/residual-ml/residual/data/transforms"
)

// webpFrame is the first frame of a WebP file: its position on the canvas and the content of its
// VP8 or VP8L chunk.
type webpFrame struct {
	canvasWidth, canvasHeight int
	x, y, width, height       int
	lossless                  bool
	data                      []byte
}

// webpSize returns the size of the canvas of a WebP file.
func webpSize(content []byte) (width, height int, err error) {
	f, err := parseWebP(content)
	return f.canvasWidth, f.canvasHeight, err
}

// webpImage decodes the first frame onto its canvas, which is black around the frame, as in
// libwebp's WebPAnimDecoder. It ignores alpha.
func webpImage(content []byte) (transforms.Image, error) {
	f, err := parseWebP(content)
	if err != nil {
		return transforms.Image{}, err
	}
	if f.lossless {
		img, err := vp8l.Decode(bytes.NewReader(f.data))
		if err != nil {
			return transforms.Image{}, atEnd(err)
		}
		m := transforms.NewImage(3, f.canvasHeight, f.canvasWidth)
		f.fromNRGBA(m, img.(*image.NRGBA))
		return m, nil
	}
	d := vp8.NewDecoder()
	d.Init(bytes.NewReader(f.data), len(f.data))
	if _, err := d.DecodeFrameHeader(); err != nil {
		return transforms.Image{}, atEnd(err)
	}
	img, err := d.DecodeFrame()
	if err != nil {
		return transforms.Image{}, atEnd(err)
	}
	m := transforms.NewImage(3, f.canvasHeight, f.canvasWidth)
	f.fromYCbCr(m, img)
	return m, nil
}

// parseWebP reads the chunks of a RIFF file up to the first frame
// (https://developers.google.com/speed/webp/docs/riff_container).
func parseWebP(content []byte) (f webpFrame, err error) {
	if len(content) < 12 {
		return f, io.ErrUnexpectedEOF
	}
	// Some writers count the header or omit the padding at the end, so up to 8 bytes may be
	// missing.
	size := int64(binary.LittleEndian.Uint32(content[4:])) + 8
	if size > int64(len(content))+8 {
		return f, fmt.Errorf("%d bytes are promised, there are %d: %w", size, len(content), io.ErrUnexpectedEOF)
	}
	b := content[12:]
	if len(b) >= 18 && string(b[:4]) == "VP8X" {
		f.canvasWidth, f.canvasHeight = 1+uint24(b[12:]), 1+uint24(b[15:])
		f.width, f.height = f.canvasWidth, f.canvasHeight
	}
	for len(b) > 0 {
		name, chunk, remaining, err := riffChunk(b)
		if err != nil {
			return f, err
		}
		b = remaining
		switch name {
		case "VP8 ", "VP8L":
			return f, f.setData(name, chunk)
		case "ANMF":
			return f, f.animation(chunk)
		}
	}
	return f, damaged("it holds no image")
}

// riffChunk splits off the first chunk.
func riffChunk(b []byte) (name string, chunk, remaining []byte, err error) {
	if len(b) < 8 {
		return "", nil, nil, io.ErrUnexpectedEOF
	}
	n := int64(binary.LittleEndian.Uint32(b[4:]))
	if n > int64(len(b)-8) {
		return "", nil, nil, io.ErrUnexpectedEOF
	}
	return string(b[:4]), b[8 : 8+n], b[min(8+n+n&1, int64(len(b))):], nil
}

// animation reads the first frame of an animation: 16 bytes with its position and size, then
// chunks like those of a still image.
func (f *webpFrame) animation(b []byte) error {
	if len(b) < 16 {
		return damaged("its first frame has no header")
	}
	f.x, f.y = 2*uint24(b), 2*uint24(b[3:])
	f.width, f.height = 1+uint24(b[6:]), 1+uint24(b[9:])
	for b = b[16:]; len(b) > 0; {
		name, chunk, remaining, err := riffChunk(b)
		if err != nil {
			return err
		}
		if name == "VP8 " || name == "VP8L" {
			return f.setData(name, chunk)
		}
		b = remaining
	}
	return damaged("its first frame holds no image")
}

// setData sets the data of the frame and checks its size against the headers.
func (f *webpFrame) setData(name string, data []byte) error {
	width, height, ok := 0, 0, false
	if name == "VP8L" {
		config, err := vp8l.DecodeConfig(bytes.NewReader(data))
		if err != nil {
			return atEnd(err)
		}
		width, height, ok = config.Width, config.Height, true
	} else {
		d := vp8.NewDecoder()
		d.Init(bytes.NewReader(data), len(data))
		h, err := d.DecodeFrameHeader()
		if err != nil {
			return atEnd(err)
		}
		width, height, ok = h.Width, h.Height, h.KeyFrame
	}
	if f.canvasWidth == 0 {
		f.canvasWidth, f.canvasHeight, f.width, f.height = width, height, width, height
	}
	if !ok || width != f.width || height != f.height || f.x+width > f.canvasWidth || f.y+height > f.canvasHeight {
		return damaged("a frame of %dx%d at %d, %d does not fit its header or its canvas of %dx%d",
			width, height, f.x, f.y, f.canvasWidth, f.canvasHeight)
	}
	f.lossless, f.data = name == "VP8L", data
	return nil
}

func uint24(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }

// rows returns the part of each plane of the canvas that row y of the frame covers.
func (f *webpFrame) rows(m transforms.Image, y int) (r, g, b []uint8) {
	area := m.Height * m.Width
	at := (f.y+y)*m.Width + f.x
	return m.Pix[at:][:f.width], m.Pix[area+at:][:f.width], m.Pix[2*area+at:][:f.width]
}

func (f *webpFrame) fromNRGBA(m transforms.Image, img *image.NRGBA) {
	for y := range f.height {
		r, g, b := f.rows(m, y)
		from := img.Pix[y*img.Stride:][:4*f.width]
		for x := range r {
			p := from[4*x:][:4]
			r[x], g[x], b[x] = p[0], p[1], p[2]
		}
	}
}

// fromYCbCr converts the frame to RGB with the same bits as libwebp. Chroma is interpolated
// between the four nearest samples, and luma is in video range, with black at 16 and white at 235
// (ITU-R BT.601).
func (f *webpFrame) fromYCbCr(m transforms.Image, img *image.YCbCr) {
	cbs, crs := make([]uint8, f.width+1), make([]uint8, f.width+1)
	chromaWidth, last := (f.width+1)/2, (f.height-1)/2
	for y := range f.height {
		near := y / 2
		far := min(max(near-1+2*(y&1), 0), last) // the second nearest row of chroma
		upsampleRow(cbs, img.Cb[near*img.CStride:][:chromaWidth], img.Cb[far*img.CStride:][:chromaWidth])
		upsampleRow(crs, img.Cr[near*img.CStride:][:chromaWidth], img.Cr[far*img.CStride:][:chromaWidth])
		r, g, b := f.rows(m, y)
		videoRow(r, g, b, img.Y[y*img.YStride:], cbs, crs)
	}
}

// upsampleRow doubles the width of a row of chroma, as libwebp's UpsampleRgbaLinePair does. Of
// the four samples around a pixel, the nearest has a weight of 9/16 and the farthest 1/16. The
// first and the last pixel have only two samples. dst may be one pixel longer than needed.
func upsampleRow(dst, near, far []uint8) {
	a, c := int(near[0]), int(far[0])
	dst[0] = uint8((3*a + c + 2) >> 2)
	for i := 1; i < len(near); i++ {
		b, d := int(near[i]), int(far[i])
		sum := a + b + c + d + 8
		out := dst[2*i-1:][:2]
		out[0] = uint8(((sum+2*(b+c))>>3 + a) >> 1)
		out[1] = uint8(((sum+2*(a+d))>>3 + b) >> 1)
		a, c = b, d
	}
	if n := 2 * len(near); n <= len(dst) {
		dst[n-1] = uint8((3*a + c + 2) >> 2)
	}
}

// videoRow converts a row as libwebp's VP8YUVToR, VP8YUVToG and VP8YUVToB do, with factors in
// fixed point with 14 fractional bits.
func videoRow(r, g, b, ys, cbs, crs []uint8) {
	g, b, ys, cbs, crs = g[:len(r)], b[:len(r)], ys[:len(r)], cbs[:len(r)], crs[:len(r)]
	for x := range r {
		y, u, v := int32(ys[x])*19077>>8, int32(cbs[x]), int32(crs[x])
		r[x] = clip6(y + v*26149>>8 - 14234)
		g[x] = clip6(y - u*6419>>8 - v*13320>>8 + 8708)
		b[x] = clip6(y + u*33050>>8 - 17685)
	}
}

// clip6 rounds down a value with 6 fractional bits and clips it to 8 bits.
func clip6(v int32) uint8 {
	if uint32(v) < 256<<6 {
		return uint8(v >> 6)
	}
	return uint8(^v >> 31)
}
