package data

// top holds the measures of a garment for the upper body. The unit is half the side of the
// image; the garment spans about -0.8..0.8.
type top struct {
	neck, shoulder, chest, waist, hem float64 // half widths
	up, down                          float64 // y of the inner end of the shoulders and of the hem
	drop                              float64 // how much lower the outer end of a shoulder is
	armpit                            float64 // y of the armpits
	scoop                             float64 // depth of the neckline at the middle
	sleeve                            float64 // length of a sleeve; 0 for none
	wide, cuff                        float64 // width of a sleeve at the shoulder and at its end
	spread                            float64 // tangent of half the angle of a sleeve from straight down
}

// newTop returns random measures whose distribution is the same for all tops, so that the
// outline alone says little about the class.
func (a *artist) newTop() top {
	r := &a.random
	t := top{
		neck: r.between(0.12, 0.19), shoulder: r.between(0.36, 0.46),
		up: r.between(-0.80, -0.66), down: r.between(0.52, 0.80),
		drop: r.between(0.06, 0.14), scoop: r.between(0.05, 0.16),
		wide: r.between(0.22, 0.30), cuff: r.between(0.13, 0.20),
	}
	t.armpit = t.up + r.between(0.34, 0.46)
	t.chest = t.shoulder - r.between(0.02, 0.08)
	t.waist = t.chest - r.between(-0.02, 0.09)
	t.hem = t.waist + r.between(-0.02, 0.10)
	return t
}

// long chooses long sleeves.
func (a *artist) long(t *top) {
	t.sleeve, t.spread = a.random.between(0.95, 1.25), a.random.between(0.06, 0.20)
}

// short chooses short sleeves.
func (a *artist) short(t *top) {
	t.sleeve, t.spread = a.random.between(0.26, 0.46), a.random.between(0.18, 0.42)
	t.cuff = t.wide - a.random.between(0.0, 0.06)
}

// side returns the point on the shoulder where a sleeve begins, the direction of the sleeve
// and the direction across it. sign is 1 for the right sleeve and -1 for the left one.
func (t top) side(sign float64) (from, down, across pt) {
	down = direction(t.spread)
	return pt{float64(sign * t.shoulder), t.up + t.drop}, pt{float64(sign * down.x), down.y}, pt{float64(-sign * down.y), down.x}
}

// body paints the sleeves and the trunk up to the neckline.
func (a *artist) body(t top) {
	for _, sign := range []float64{1, -1} {
		if t.sleeve == 0 {
			break
		}
		from, down, across := t.side(sign)
		end := from.plus(down, t.sleeve)
		inner := pt{float64(sign * t.chest), t.armpit}
		elbow := from.plus(down, t.sleeve/2).plus(across, -a.random.between(0, 0.05))
		path := curve([]pt{from}, from, elbow, end)
		path = append(path, end.plus(across, t.cuff), inner, pt{float64(sign * t.neck), t.up})
		a.fill(float64(a.tone*a.random.between(0.86, 0.97)), path...)
		a.line(float64(a.tone*0.55), 0.035, pt{float64(sign * (t.shoulder - 0.04)), t.up + t.drop + 0.06}, inner)
	}
	a.fill(a.tone, a.trunk(t)...)
}

// trunk returns the outline of a top without its sleeves.
func (a *artist) trunk(t top) []pt {
	armpit := pt{t.chest, t.armpit}
	waist := pt{t.waist, (t.armpit + t.down) / 2}
	hem := pt{t.hem, t.down}
	right := []pt{{0, t.up + t.scoop}}
	right = curve(right, pt{0, t.up + t.scoop}, pt{t.neck, t.up + t.scoop}, pt{t.neck, t.up})
	shoulder := pt{t.shoulder, t.up + t.drop}
	if t.sleeve == 0 {
		shoulder.x = t.neck + a.random.between(0.06, 0.14)
		shoulder.y = t.up + 0.03
		right = append(right, shoulder)
		right = curve(right, shoulder, pt{shoulder.x + 0.02, t.armpit - 0.08}, armpit)
	} else {
		right = append(right, shoulder, armpit)
	}
	right = curve(right, armpit, waist, hem)
	right = curve(right, hem, pt{t.hem / 2, t.down + a.random.between(0, 0.05)}, pt{0, t.down + 0.03})
	return mirrored(right)
}

// inside paints the inner back of the garment, which is visible through the neckline.
func (a *artist) inside(t top) {
	if a.random.chance(0.6) {
		a.fill(float64(a.tone*0.5), mirrored([]pt{{0, t.up + 0.02}, {t.neck, t.up}, {float64(t.neck * 0.7), t.up + float64(t.scoop*0.75)}, {0, t.up + t.scoop}})...)
	}
}

// tshirt draws a top without an opening, mostly with short sleeves or none and often with a
// print.
func (a *artist) tshirt() {
	r := &a.random
	a.place(0.08, 1.8)
	t := a.newTop()
	switch {
	case r.chance(0.72):
		a.short(&t)
	case r.chance(0.5): // sleeveless
		t.scoop += 0.12
	default: // long sleeves, thin and loose, without ribs
		a.long(&t)
		t.cuff += 0.03
		t.scoop += 0.08
	}
	a.body(t)
	a.inside(t)
	switch r.intn(5) {
	case 0:
		a.fill(a.accent, ellipse(pt{0, t.armpit + r.between(0, 0.25)}, r.between(0.10, 0.22), r.between(0.08, 0.2))...)
	case 1:
		y, h, w := t.armpit+r.between(-0.02, 0.2), r.between(0.1, 0.3), r.between(0.12, 0.26)
		a.fill(a.accent, mirrored([]pt{{w, y}, {w, y + h}})...)
	case 2:
		y := t.armpit + r.between(-0.05, 0.2)
		a.line(a.accent, r.between(0.06, 0.16), pt{-t.chest + 0.02, y}, pt{t.chest - 0.02, y})
	}
}

// pullover draws a top without an opening, with long sleeves and with ribs at the neck, the
// cuffs and the hem.
func (a *artist) pullover() {
	r := &a.random
	a.place(0.08, 1.8)
	t := a.newTop()
	a.long(&t)
	a.body(t)
	rib := float64(a.tone * r.between(0.55, 0.75))
	if a.tone < 170 && r.chance(0.5) {
		rib = float64(a.tone * r.between(1.25, 1.45))
	}
	for _, sign := range []float64{1, -1} {
		from, down, across := t.side(sign)
		end := from.plus(down, t.sleeve-0.07)
		a.line(rib, 0.09, end.plus(across, 0.01), end.plus(across, t.cuff))
	}
	a.line(rib, r.between(0.09, 0.13), pt{-t.hem, t.down - 0.04}, pt{t.hem, t.down - 0.04})
	neck := curve([]pt{{-t.neck, t.up}}, pt{-t.neck, t.up}, pt{0, t.up + float64(2*t.scoop)}, pt{t.neck, t.up})
	switch {
	case r.chance(0.25): // roll neck
		a.fill(rib, mirrored([]pt{{t.neck - 0.02, t.up - 0.1}, {t.neck + 0.01, t.up + 0.03}, {0, t.up + t.scoop + 0.03}})...)
	case r.chance(0.25): // hood
		a.fill(float64(a.tone*0.8), ellipse(pt{0, t.up + 0.02}, t.neck+0.09, 0.15)...)
		a.fill(float64(a.tone*0.4), ellipse(pt{0, t.up + 0.05}, t.neck, 0.09)...)
	default:
		a.line(rib, 0.08, neck...)
	}
	if r.chance(0.3) {
		y := t.armpit + r.between(-0.02, 0.3)
		a.line(a.accent, r.between(0.06, 0.2), pt{-t.chest + 0.02, y}, pt{t.chest - 0.02, y})
	}
}

// coat draws a top that is open or closed at the front, with lapels, large buttons and
// pockets.
func (a *artist) coat() {
	r := &a.random
	a.place(0.08, 1.8)
	t := a.newTop()
	a.long(&t)
	t.down = min(t.down+r.between(0, 0.16), 0.86)
	t.hem += r.between(0, 0.07)
	t.scoop = 0.04
	a.body(t)
	depth := r.between(0.3, 0.62) // of the lapels
	apex := pt{r.between(-0.05, 0.05), t.up + depth}
	foot := pt{apex.x + r.between(-0.03, 0.03), t.down + 0.05}
	if r.chance(0.35) { // worn open, with other cloth between the two fronts
		gap := r.between(0.06, 0.14)
		a.fill(float64(a.accent*0.6), pt{-t.neck, t.up}, pt{t.neck, t.up}, pt{apex.x + gap/2, apex.y}, pt{foot.x + gap, foot.y}, pt{foot.x - gap, foot.y}, pt{apex.x - gap/2, apex.y})
	} else {
		a.fill(float64(a.accent*0.7), pt{-t.neck, t.up}, pt{t.neck, t.up}, apex)
		a.line(float64(a.tone*0.3), 0.06, apex, foot)
		x := apex.x + r.between(0.07, 0.12)
		for y := apex.y + 0.08; y < t.down-0.15; y += 0.19 {
			a.fill(float64(a.tone*0.25), ellipse(pt{x, y}, 0.05, 0.05)...)
		}
	}
	for _, sign := range []float64{1, -1} { // lapels
		w := t.neck + r.between(0.05, 0.1)
		a.fill(float64(a.tone*0.72), pt{float64(sign * t.neck), t.up - 0.02}, pt{float64(sign * w), t.up + float64(depth*0.45)}, apex, pt{float64(sign * (t.neck - 0.05)), t.up + 0.02})
		if r.chance(0.8) {
			y := r.between(0.22, 0.36)
			a.line(float64(a.tone*0.45), 0.05, pt{float64(sign * 0.16), y}, pt{float64(sign * (t.waist - 0.05)), y + 0.03})
		}
	}
}

// shirt draws a top with a pointed collar, a placket with small buttons, and often a
// pocket.
func (a *artist) shirt() {
	r := &a.random
	a.place(0.08, 1.8)
	t := a.newTop()
	a.short(&t)
	if r.chance(0.62) {
		a.long(&t)
	}
	t.scoop = 0.05
	a.body(t)
	x := r.between(-0.02, 0.02)
	light, dark := min(float64(a.tone*1.25)+15, 255), float64(a.tone*0.5)
	a.line(light, 0.09, pt{x, t.up + 0.08}, pt{x, t.down})
	a.line(dark, 0.03, pt{x + 0.06, t.up + 0.1}, pt{x + 0.06, t.down})
	for y := t.up + 0.2; y < t.down-0.05; y += 0.17 {
		a.fill(float64(dark*0.7), ellipse(pt{x, y}, 0.032, 0.032)...)
	}
	drop := r.between(0.13, 0.2)
	for _, sign := range []float64{1, -1} {
		a.fill(light, pt{float64(sign * 0.01), t.up + 0.05}, pt{float64(sign * (t.neck - 0.02)), t.up - 0.05}, pt{float64(sign * (t.neck + 0.05)), t.up + 0.06}, pt{float64(sign * (t.neck - 0.02)), t.up + drop + 0.02})
		a.line(dark, 0.03, pt{float64(sign * (t.neck + 0.05)), t.up + 0.06}, pt{float64(sign * (t.neck - 0.02)), t.up + drop + 0.02}, pt{float64(sign * 0.02), t.up + 0.06})
	}
	if r.chance(0.5) {
		y := t.armpit + 0.02
		a.line(dark, 0.03, pt{0.13, y}, pt{0.3, y}, pt{0.3, y + 0.18}, pt{0.13, y + 0.18}, pt{0.13, y})
	}
	// The hem of a shirt is higher at the sides.
	for _, sign := range []float64{1, -1} {
		a.cut(pt{float64(sign * (t.hem + 0.03)), t.down - 0.12}, pt{float64(sign * (t.hem + 0.03)), t.down + 0.1}, pt{float64(float64(sign*t.hem) * 0.45), t.down + 0.1}, pt{float64(sign * (t.hem - 0.06)), t.down - 0.02})
	}
}

// dress draws a bodice and a long skirt that widens from the waist.
func (a *artist) dress() {
	r := &a.random
	a.place(0.08, 1.8)
	t := a.newTop()
	t.up, t.down = r.between(-0.88, -0.76), r.between(0.7, 0.9)
	t.shoulder -= 0.12
	t.neck = min(t.neck, t.shoulder-0.06)
	t.chest = t.shoulder - 0.02
	t.armpit = t.up + r.between(0.26, 0.34)
	t.scoop = r.between(0.06, 0.24)
	switch {
	case r.chance(0.3):
		a.short(&t)
		t.wide, t.cuff = float64(t.wide*0.8), float64(t.cuff*0.7)
	case r.chance(0.2):
		a.long(&t)
		t.sleeve, t.cuff = float64(t.sleeve*0.85), float64(t.cuff*0.8)
	}
	waist := pt{t.chest - r.between(0.03, 0.09), r.between(-0.22, 0.0)}
	hem := pt{t.chest + r.between(0.04, 0.28), t.down}
	bodice := t
	bodice.down, bodice.waist, bodice.hem = waist.y+0.04, waist.x, waist.x
	a.body(bodice)
	right := curve([]pt{{0, waist.y - 0.02}, waist}, waist, pt{waist.x + r.between(0, 0.16), waist.y + 0.3}, hem)
	right = curve(right, hem, pt{hem.x / 2, t.down + 0.06}, pt{0, t.down + 0.05})
	a.fill(float64(a.tone*r.between(0.88, 1.05)), mirrored(right)...)
	if r.chance(0.6) {
		a.line(a.accent, r.between(0.05, 0.09), pt{-waist.x, waist.y}, pt{waist.x, waist.y})
	}
	for range r.intn(4) { // pleats
		x := r.between(-0.8, 0.8)
		a.line(float64(a.tone*0.65), 0.035, pt{float64(x * waist.x), waist.y + 0.12}, pt{float64(x * hem.x), t.down})
	}
}
