package data

// artist draws one garment at a time.
type artist struct {
	canvas
	random random
	tone   float64 // brightness of the cloth, 0..255
	accent float64 // brightness of trimmings, which differs clearly from tone
}

// place chooses the pose at random: a rotation by up to twice the angle whose tangent is
// turn, a scale, a slant, a shift by up to shift pixels, and a reflection half the time.
func (a *artist) place(turn, shift float64) {
	r := &a.random
	d := direction(r.between(-turn, turn))
	size := float64(r.between(0.80, 1.04) * (imageSide / 2))
	sx, sy := float64(size*r.between(0.88, 1.1)), float64(size*r.between(0.9, 1.06))
	if r.chance(0.5) {
		sx = -sx
	}
	slant := r.between(-0.06, 0.06)
	a.pose = pose{
		xx: float64(sx * d.y), xy: float64(sy * (d.x + slant)),
		yx: float64(-sx * d.x), yy: float64(sy * d.y),
		dx: imageSide/2 + r.between(-shift, shift),
		dy: imageSide/2 + r.between(-shift, shift),
	}
}

// light fills shade, the brightness of the cloth at each pixel: folds, a slope and sometimes
// stripes.
func (a *artist) light() {
	r := &a.random
	var waves [5]wave
	n := 2 + r.intn(2)
	for i := range n {
		waves[i] = wave{
			dx: int32(r.intn(121)) - 60, dy: int32(r.intn(121)) - 60,
			phase: int32(r.intn(1024)), height: int32(6 + r.intn(22)),
		}
	}
	if r.chance(0.4) { // stripes across, down, or both
		period := int32(220 + r.intn(200))
		height, phase := int32(20+r.intn(50)), int32(r.intn(1024))
		both := r.chance(0.25)
		across := r.chance(0.6)
		if across || both {
			waves[n] = wave{dy: period, phase: phase, height: height}
			n++
		}
		if !across || both {
			waves[n] = wave{dx: period, phase: phase, height: height}
			n++
		}
	}
	slopeX, slopeY := int32(r.intn(7))-3, int32(r.intn(7))-3
	for y := range int32(imageSide) {
		for x := range int32(imageSide) {
			v := 256 + slopeX*(x-imageSide/2) + slopeY*(y-imageSide/2)
			for i := range n {
				v += waves[i].at(x, y)
			}
			a.shade[y*imageSide+x] = v
		}
	}
}

// wave is a periodic change of brightness. dx, dy and phase are in 1/1024 of a period; dx and
// dy are the advance for each pixel.
type wave struct{ dx, dy, phase, height int32 }

// at returns a value in -height..height. Two parabolas approximate a sine.
func (w wave) at(x, y int32) int32 {
	p := (w.dx*x + w.dy*y + w.phase) & 1023
	half := p & 511
	v := half * (512 - half) >> 8 // 0..256
	if p >= 512 {
		v = -v
	}
	return v * w.height >> 8
}

// develop writes the canvas to pix, with a random gain, and with noise where there is cloth.
func (a *artist) develop(pix []uint8) {
	r := &a.random
	gain := 160 + int32(r.intn(110)) // of 256
	grain := 3 + int32(r.intn(9))
	var bits uint64
	for i, v := range a.value {
		if i&1 == 0 {
			bits = r.src.Uint64()
		}
		// The sum of four random bytes is close to a normal distribution with std 148.
		noise := int32(bits&255) + int32(bits>>8&255) + int32(bits>>16&255) + int32(bits>>24&255) - 510
		bits >>= 32
		v = v * gain >> 8
		if v > 0 {
			v += noise * grain * (v + 32) >> 15
		}
		pix[i] = uint8(min(max(v, 0), 255))
	}
}
