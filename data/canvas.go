package data

// The drawing of garments must give the same bytes on every processor. A compiler
// may fuse a product and a sum into one rounding, which changes bits, except across
// an explicit conversion: so every product here that meets a sum is written
// float64(a*b), and from the corners of an outline on all arithmetic is of integers.

const (
	imageSide   = 28
	imageSize   = imageSide * imageSide
	subRows     = 4   // scanlines in a pixel's height
	subPixel    = 256 // steps in a pixel's width and height
	fullCover   = subRows * subPixel
	maxCrossing = 24 // crossings of one scanline that are kept
)

// pt is a point of a garment: x to the right, y down, and the image's half side
// is 1 before the pose is applied.
type pt struct{ x, y float64 }

// along returns the point a part t of the way from p to q.
func (p pt) along(q pt, t float64) pt {
	return pt{p.x + float64((q.x-p.x)*t), p.y + float64((q.y-p.y)*t)}
}

// plus returns p moved by s times the direction d.
func (p pt) plus(d pt, s float64) pt {
	return pt{p.x + float64(d.x*s), p.y + float64(d.y*s)}
}

// direction returns the unit vector at the angle whose half has tangent t, turned
// from straight down (t = 0) towards the right.
func direction(t float64) pt {
	q := 1 + float64(t*t)
	return pt{2 * t / q, (1 - float64(t*t)) / q}
}

// pose maps a garment's points to pixels: linear, then shifted.
type pose struct{ xx, xy, yx, yy, dx, dy float64 }

func (m pose) apply(p pt) (x, y int32) {
	px := float64(m.xx*p.x) + float64(m.xy*p.y) + m.dx
	py := float64(m.yx*p.x) + float64(m.yy*p.y) + m.dy
	return int32(px * subPixel), int32(py * subPixel)
}

type crossing struct {
	x   int32
	dir int8
}

// canvas is an image in the making.
type canvas struct {
	pose      pose
	value     [imageSize]int32 // 0..255
	shade     [imageSize]int32 // light on the cloth; 256 is neutral
	cover     [imageSize]int32
	crossings [imageSide * subRows][maxCrossing]crossing
	count     [imageSide * subRows]uint8
}

// fill paints the inside of a closed outline (non-zero winding, antialiased) with a
// tone in 0..255, under the light of the image.
func (c *canvas) fill(tone float64, outline ...pt) { c.paint(int32(tone), true, outline) }

// cut takes the inside of an outline away, to the black background.
func (c *canvas) cut(outline ...pt) { c.paint(0, false, outline) }

func (c *canvas) paint(tone int32, lit bool, outline []pt) {
	top, bottom := c.scan(outline)
	for row := top; row <= bottom; row++ {
		for i := row * imageSide; i < (row+1)*imageSide; i++ {
			cover := c.cover[i]
			if cover == 0 {
				continue
			}
			c.cover[i] = 0
			v := tone
			if lit {
				v = min(max(tone*c.shade[i]>>8, 12), 255)
			}
			c.value[i] += (v - c.value[i]) * cover / fullCover
		}
	}
}

// scan adds up how much of every pixel an outline covers and returns the rows it
// touches.
func (c *canvas) scan(outline []pt) (top, bottom int) {
	const step, first = subPixel / subRows, subPixel / subRows / 2
	low, high := int32(len(c.count)), int32(-1)
	x0, y0 := c.pose.apply(outline[len(outline)-1])
	for _, p := range outline {
		x1, y1 := c.pose.apply(p)
		ax, ay, bx, by, dir := x0, y0, x1, y1, int8(1)
		if ay > by {
			ax, ay, bx, by, dir = bx, by, ax, ay, -1
		}
		x0, y0 = x1, y1
		// Scanline s lies at s*step + first; it meets the edge when ay <= y < by.
		from := max((ay-first+step-1)>>stepBits, 0)
		to := min((by-first+step-1)>>stepBits, int32(len(c.count)))
		for s := from; s < to; s++ {
			y := s*step + first
			x := ax + int32(int64(y-ay)*int64(bx-ax)/int64(by-ay))
			c.cross(s, crossing{x, dir})
		}
		if from < to {
			low, high = min(low, from), max(high, to-1)
		}
	}
	for s := low; s <= high; s++ {
		c.spans(int(s))
	}
	return int(low) / subRows, int(high) / subRows
}

const stepBits = 6 // 1<<stepBits == subPixel/subRows

// cross keeps a scanline's crossings sorted by x.
func (c *canvas) cross(s int32, x crossing) {
	n := c.count[s]
	if n == maxCrossing {
		return
	}
	row := &c.crossings[s]
	i := int(n)
	for ; i > 0 && row[i-1].x > x.x; i-- {
		row[i] = row[i-1]
	}
	row[i] = x
	c.count[s] = n + 1
}

// spans adds the covered parts of one scanline and forgets its crossings.
func (c *canvas) spans(s int) {
	cover := c.cover[s/subRows*imageSide:][:imageSide]
	winding := int8(0)
	var begin int32
	for _, x := range c.crossings[s][:c.count[s]] {
		if winding == 0 {
			begin = x.x
		}
		if winding += x.dir; winding == 0 {
			a, b := max(begin, 0), min(x.x, imageSide*subPixel)
			for a < b {
				px := a / subPixel
				end := min((px+1)*subPixel, b)
				cover[px] += end - a
				a = end
			}
		}
	}
	c.count[s] = 0
}

// line paints a stroke of the given width through the points.
func (c *canvas) line(tone, width float64, points ...pt) {
	for i := 1; i < len(points); i++ {
		p, q := points[i-1], points[i]
		dx, dy := q.x-p.x, q.y-p.y
		length := max(abs(dx), abs(dy))
		if length == 0 {
			continue
		}
		// The longer side stands for the length: within 1.4 of it, and a slanted
		// band of cloth is as wide as it likes.
		n := pt{-dy / length, dx / length}
		d := pt{dx / length, dy / length}
		p, q = p.plus(d, -width/4), q.plus(d, width/4)
		c.fill(tone, p.plus(n, width/2), q.plus(n, width/2), q.plus(n, -width/2), p.plus(n, -width/2))
	}
}

func abs(x float64) float64 {
	if x < 0 {
		return -x
	}
	return x
}

// curve appends the quadratic Bézier arc from p over q to r, without p itself.
func curve(path []pt, p, q, r pt) []pt {
	const pieces = 6
	for i := 1; i <= pieces; i++ {
		t := float64(i) / pieces
		path = append(path, p.along(q, t).along(q.along(r, t), t))
	}
	return path
}

// circle holds the unit circle's points at sixteenths of a turn.
var circle = [16]pt{
	{1, 0}, {0.9239, 0.3827}, {0.7071, 0.7071}, {0.3827, 0.9239},
	{0, 1}, {-0.3827, 0.9239}, {-0.7071, 0.7071}, {-0.9239, 0.3827},
	{-1, 0}, {-0.9239, -0.3827}, {-0.7071, -0.7071}, {-0.3827, -0.9239},
	{0, -1}, {0.3827, -0.9239}, {0.7071, -0.7071}, {0.9239, -0.3827},
}

// ellipse returns an outline of 16 points.
func ellipse(center pt, rx, ry float64) []pt {
	out := make([]pt, len(circle))
	for i, p := range circle {
		out[i] = pt{center.x + float64(p.x*rx), center.y + float64(p.y*ry)}
	}
	return out
}

// mirrored closes the right half of an outline, given from the top down, with its
// reflection in the line x = 0.
func mirrored(right []pt) []pt {
	out := append(make([]pt, 0, 2*len(right)), right...)
	for i := len(right) - 1; i >= 0; i-- {
		out = append(out, pt{-right[i].x, right[i].y})
	}
	return out
}
