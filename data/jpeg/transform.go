package jpeg

import "github.com/residual-ml/residual/data/pixel"

// blockDone records the position of the block that was just written to pending. It transforms
// the pending blocks when there are two.
func (c *component) blockDone(x, y int) {
	c.positions[c.count] = (y-c.part.Min.Y)*8*c.stride + (x-c.part.Min.X)*8 + margin
	if c.count++; c.count == 2 {
		c.transform()
	}
}

// transform transforms the pending blocks and writes them to the plane.
func (c *component) transform() {
	switch c.count {
	case 0:
		return
	case 1:
		c.positions[1] = c.positions[0]
		for v := range 8 {
			copy(c.pending[16*v+8:16*v+16], c.pending[16*v:])
		}
	}
	pixel.IDCT2(c.plane, c.positions[0], c.positions[1], c.stride, &c.pending, &c.quant)
	c.pending = [128]int16{}
	c.count = 0
}

// transformAll transforms all blocks of a colour that are needed.
func (d *decoder) transformAll(c *component) error {
	for y := c.part.Min.Y; y < c.part.Max.Y; y++ {
		if err := d.ctx.Err(); err != nil {
			return err
		}
		for x := c.part.Min.X; x < c.part.Max.X; x++ {
			block := c.coefs[(y*c.blocksWide+x)*64:][:64]
			for v := range 8 {
				copy(c.pending[16*v+8*c.count:][:8], block[8*v:])
			}
			c.blockDone(x, y)
		}
	}
	c.transform()
	return nil
}
