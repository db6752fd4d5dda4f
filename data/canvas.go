package data

// The drawing of garments must give the same bytes on every processor. A compiler may fuse a
// product and a sum into one operation with one rounding, which changes bits; an explicit
// conversion prevents that. Every product here that is added to something is therefore
// written float64(a*b), and all arithmetic after the corners of an outline uses integers.

const (
	imageSide   = 28
	imageSize   = imageSide * imageSide
	subRows     = 4   // scanlines in the height of a pixel
	subPixel    = 256 // steps in the width and the height of a pixel
	fullCover   = subRows * subPixel
	maxCrossing = 24 // the most crossings of one scanline
)

// pt is a point of a garment: x points right, y points down, and before the pose is applied
// half the side of the image is 1.
type pt struct{ x, y float64 }

// along returns the point p + t*(q-p).
func (p pt) along(q pt, t float64) pt {
	return pt{p.x + float64((q.x-p.x)*t), p.y + float64((q.y-p.y)*t)}
}

// plus returns p moved by s times the direction d.
func (p pt) plus(d pt, s float64) pt {
	return pt{p.x + float64(d.x*s), p.y + float64(d.y*s)}
}

// direction returns the unit vector at an angle from straight down towards the right; t is
// the tangent of half that angle.
func direction(t float64) pt {
	q := 1 + float64(t*t)
	return pt{2 * t / q, (1 - float64(t*t)) / q}
}

// pose is the affine map from points of a garment to pixels.
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

// canvas is an image while it is drawn.
type canvas struct {
	pose      pose
	value     [imageSize]int32 // 0..255
	shade     [imageSize]int32 // factor of the brightness of cloth, in 1/256
	cover     [imageSize]int32 // how much of a pixel an outline covers, in 1/fullCover
	crossings [imageSide * subRows][maxCrossing]crossing
	count     [imageSide * subRows]uint8
}

// fill paints the inside of a closed outline (non-zero winding, antialiased) with a tone in
// 0..255 times the shade of each pixel.
func (c *canvas) fill(tone float64, outline ...pt) { c.paint(int32(tone), true, outline) }

// cut paints the inside of an outline black, as the background.
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

// scan computes how much of each pixel an outline covers and returns the first and the last
// row that it touches.
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
		// Scanline s is at y = s*step + first. It crosses the edge when ay <= y < by.
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

// cross adds a crossing to a scanline, whose crossings are sorted by x.
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

// spans adds the covered parts of one scanline to cover and clears its crossings.
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
		// The longer of dx and dy approximates the length. A slanted stroke is up to 1.4
		// times too wide, which does not matter for cloth.
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

// curve appends points of the quadratic Bézier curve from p to r with control point q. It
// does not append p.
func curve(path []pt, p, q, r pt) []pt {
	const pieces = 6
	for i := 1; i <= pieces; i++ {
		t := float64(i) / pieces
		path = append(path, p.along(q, t).along(q.along(r, t), t))
	}
	return path
}

// circle holds 16 evenly spaced points of the unit circle.
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

// mirrored completes the right half of an outline, given from top to bottom, by its
// reflection across x = 0.
func mirrored(right []pt) []pt {
	out := append(make([]pt, 0, 2*len(right)), right...)
	for i := len(right) - 1; i >= 0; i-- {
		out = append(out, pt{-right[i].x, right[i].y})
	}
	return out
}
