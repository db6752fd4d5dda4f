package data

// trouser draws two legs with background between them.
func (a *artist) trouser() {
	r := &a.random
	a.place(0.07, 1.8)
	waist, hip := r.between(0.24, 0.36), r.between(0.30, 0.42)
	up, down := r.between(-0.88, -0.76), r.between(0.7, 0.9)
	crotch := up + r.between(0.46, 0.62)
	ankle, gap := r.between(0.12, 0.22), r.between(0.01, 0.05)
	stance := hip - ankle + r.between(-0.08, 0.06)
	for _, sign := range []float64{1, -1} {
		outer := pt{float64(sign * hip), (up + crotch) / 2}
		path := curve([]pt{{0, up}, {float64(sign * waist), up}}, pt{float64(sign * waist), up}, outer, pt{float64(sign * (hip + 0.01)), crotch})
		path = append(path, pt{float64(sign * (stance + ankle)), down}, pt{float64(sign * max(stance-ankle, gap+0.01)), down + 0.01}, pt{float64(sign * gap), crotch}, pt{0, crotch - 0.03})
		a.fill(float64(a.tone*r.between(0.9, 1.0)), path...)
		if r.chance(0.5) {
			a.line(float64(a.tone*r.between(0.6, 1.2)), 0.035, pt{float64(float64(sign*hip) * 0.6), crotch}, pt{float64(sign * stance), down - 0.05})
		}
		if r.chance(0.5) {
			a.line(float64(a.tone*0.5), 0.035, pt{float64(float64(sign*waist) * 0.6), up + 0.08}, pt{float64(sign * (hip - 0.03)), up + 0.24})
		}
	}
	a.line(float64(a.tone*r.between(0.5, 0.8)), 0.08, pt{-waist, up + 0.03}, pt{waist, up + 0.03})
	a.line(float64(a.tone*0.5), 0.03, pt{0, up + 0.05}, pt{0, crotch - 0.05})
}

// foot describes the side view of a shoe whose toe points left.
type foot struct {
	toe, heel    float64 // x of the two ends
	ground, sole float64 // y of the ground and of the upper edge of the sole
	vamp         float64 // y where the instep begins to rise
	lift         float64 // of the heel above the ground
}

func (a *artist) newFoot() foot {
	r := &a.random
	f := foot{toe: r.between(-0.90, -0.76), heel: r.between(0.66, 0.84), ground: r.between(0.34, 0.56)}
	f.sole = f.ground - r.between(0.08, 0.16)
	f.vamp = f.sole - r.between(0.16, 0.26)
	return f
}

// base paints the sole: flat, or with a heel of width block.
func (a *artist) base(f foot, tone, block float64) {
	thick := f.ground - f.sole
	if f.lift == 0 {
		path := curve([]pt{{f.toe + 0.04, f.sole}}, pt{f.toe + 0.04, f.sole}, pt{f.toe - 0.02, f.ground}, pt{f.toe + 0.12, f.ground})
		a.fill(tone, append(path, pt{f.heel, f.ground}, pt{f.heel + 0.02, f.sole})...)
		return
	}
	arch := pt{f.heel - 0.75, f.ground}
	rear := pt{f.heel, f.sole - f.lift}
	path := curve([]pt{{f.toe, f.sole}, {f.toe + 0.06, f.ground}, arch}, arch, pt{f.heel - 0.45, f.ground - float64(f.lift*0.6)}, pt{f.heel - block, rear.y + thick})
	path = append(path, pt{f.heel - float64(block*0.8), f.ground + 0.03}, pt{f.heel - 0.02, f.ground + 0.03}, rear)
	path = curve(path, rear, pt{f.heel - 0.4, rear.y + 0.05}, pt{f.heel - 0.72, f.sole})
	a.fill(tone, path...)
}

// sandal draws a sole and straps with background between them.
func (a *artist) sandal() {
	r := &a.random
	a.place(0.11, 2)
	f := a.newFoot()
	f.sole = f.ground - r.between(0.07, 0.12)
	block := r.between(0.08, 0.34)
	if r.chance(0.6) {
		f.lift = r.between(0.14, 0.55)
	}
	a.base(f, float64(a.tone*r.between(0.6, 1)), block)
	strap := r.between(0.08, 0.15)
	rise := r.between(0.22, 0.36)
	for i := range 1 + r.intn(3) { // over the toes
		x := f.toe + 0.1 + float64(0.24*float64(i))
		from, to := pt{x, f.sole}, pt{x + r.between(0.22, 0.34), f.sole - 0.02}
		a.line(a.tone, strap, curve([]pt{from}, from, pt{x + 0.16, f.sole - float64(2*rise)}, to)...)
	}
	back := pt{f.heel - 0.04, f.sole - f.lift}
	ankle := pt{f.heel - r.between(0.36, 0.5), back.y - r.between(0.36, 0.6)}
	tall := pt{back.x - 0.02, ankle.y - r.between(-0.05, 0.1)}
	switch r.intn(3) {
	case 0: // round the heel and the ankle
		a.line(a.tone, strap, curve([]pt{back}, back, pt{back.x + 0.03, (back.y + tall.y) / 2}, tall)...)
		a.line(float64(a.tone*0.9), strap, tall, ankle)
		a.line(float64(a.tone*0.8), strap, ankle, pt{f.heel - 0.62, f.sole - f.lift/2})
	case 1: // a sling
		a.line(a.tone, strap, curve([]pt{back.plus(pt{0, -1}, 0.2)}, back.plus(pt{0, -1}, 0.2), pt{back.x - 0.2, back.y - 0.3}, pt{f.toe + 0.5, f.sole - rise})...)
	default: // closed at the heel
		a.fill(a.tone, back, pt{back.x, tall.y + 0.1}, pt{back.x - 0.12, tall.y + 0.12}, pt{back.x - 0.3, back.y})
		a.line(a.tone, float64(strap*0.8), pt{back.x - 0.05, tall.y + 0.14}, ankle, pt{ankle.x - 0.05, f.sole - f.lift/2})
	}
}

// sneaker draws a low shoe with a thick sole and laces.
func (a *artist) sneaker() {
	r := &a.random
	a.place(0.11, 2)
	f := a.newFoot()
	collar := f.sole - r.between(0.44, 0.66)
	tongue := pt{r.between(-0.12, 0.12), collar - r.between(0, 0.12)}
	a.upper(f, tongue, pt{f.heel - 0.04, collar - r.between(-0.03, 0.08)}, r.between(0.02, 0.12))
	a.base(f, min(float64(a.tone*r.between(1.2, 1.5))+20, 255), 0)
	a.line(float64(a.tone*0.45), 0.03, pt{f.toe + 0.06, f.sole}, pt{f.heel, f.sole})
	bend := pt{f.toe + 0.36, f.vamp}
	for i := range 3 + r.intn(2) { // laces
		p := bend.along(tongue, 0.2+float64(0.22*float64(i)))
		a.line(a.accent, 0.045, pt{p.x - 0.02, p.y + 0.03}, pt{p.x + 0.12, p.y + 0.12})
	}
	switch r.intn(4) {
	case 0: // a curve along the side
		from, to := pt{-0.15, f.sole - 0.1}, pt{f.heel - 0.1, f.vamp - 0.05}
		a.line(a.accent, 0.07, curve([]pt{from}, from, pt{0.2, f.sole}, to)...)
	case 1: // stripes
		for i := range 3 {
			x := float64(0.12 * float64(i))
			a.line(a.accent, 0.05, pt{x, f.sole - 0.04}, pt{x + 0.1, f.vamp - 0.08})
		}
	case 2: // a cap over the toe
		a.fill(a.accent, pt{f.toe + 0.02, f.sole - 0.01}, pt{f.toe + 0.06, f.sole - 0.12}, pt{f.toe + 0.24, f.vamp + 0.02}, pt{f.toe + 0.3, f.sole - 0.01})
	}
}

// upper paints a closed shoe from the sole to its opening.
func (a *artist) upper(f foot, tongue, heel pt, dip float64) {
	toe := pt{f.toe, f.sole}
	bend := pt{f.toe + 0.34, f.vamp}
	path := curve([]pt{toe}, toe, pt{f.toe - 0.01, f.vamp + 0.03}, bend)
	path = curve(path, bend, pt{(bend.x + tongue.x) / 2, f.vamp - 0.02}, tongue)
	path = curve(path, tongue, pt{(tongue.x + heel.x) / 2, max(tongue.y, heel.y) + dip}, heel)
	base := pt{f.heel, f.sole - f.lift + 0.02}
	path = curve(path, heel, pt{f.heel + 0.03, (heel.y + base.y) / 2}, base)
	if f.lift > 0 {
		path = append(path, pt{f.heel - 0.5, f.sole + 0.02 - f.lift/2})
	}
	a.fill(a.tone, append(path, pt{f.toe + 0.3, f.sole + 0.02})...)
}

// boot draws a shoe whose shaft covers the ankle, often with a heel.
func (a *artist) boot() {
	r := &a.random
	a.place(0.11, 2)
	f := a.newFoot()
	f.ground += 0.16
	f.sole = f.ground - r.between(0.06, 0.12)
	f.vamp = f.sole - r.between(0.18, 0.28)
	if r.chance(0.6) {
		f.lift = r.between(0.08, 0.26)
	}
	shaft := r.between(-0.86, -0.42)
	width := r.between(0.44, 0.6)
	heel := pt{f.heel - r.between(0, 0.06), shaft + r.between(-0.03, 0.05)}
	tongue := pt{heel.x - width, shaft}
	a.upper(f, tongue, heel, r.between(-0.02, 0.06))
	a.base(f, float64(a.tone*r.between(0.35, 0.7)), r.between(0.2, 0.34))
	switch r.intn(4) {
	case 0: // laced
		bend := pt{f.toe + 0.42, f.vamp - 0.02}
		for i := range 5 {
			p := bend.along(tongue, 0.1+float64(0.19*float64(i)))
			a.line(a.accent, 0.045, pt{p.x, p.y + 0.02}, pt{p.x + 0.15, p.y + 0.07})
		}
	case 1: // a strap
		y := f.vamp - r.between(0.05, 0.2)
		a.line(a.accent, 0.08, pt{tongue.x - 0.02, y}, pt{f.heel - 0.02, y + 0.05})
	case 2: // elastic at the side
		x := (tongue.x + heel.x) / 2
		a.fill(float64(a.tone*0.55), pt{x - 0.1, shaft + 0.06}, pt{x + 0.1, shaft + 0.06}, pt{x + 0.03, f.vamp}, pt{x - 0.04, f.vamp})
	}
	a.line(float64(a.tone*0.7), 0.05, pt{tongue.x + 0.03, shaft + 0.05}, pt{heel.x - 0.02, heel.y + 0.06})
}

// bag draws a box or a pouch, usually with a handle.
func (a *artist) bag() {
	r := &a.random
	a.place(0.07, 1.8)
	w, up, down := r.between(0.5, 0.84), r.between(-0.42, -0.06), r.between(0.42, 0.72)
	foot := w + r.between(-0.1, 0.08)
	round := r.between(0.02, 0.2)
	handle := float64(r.between(0.2, 0.75) * (up + 0.9))
	thick := r.between(0.05, 0.1)
	inner := float64(w * r.between(0.35, 0.85))
	if r.chance(0.85) {
		from, to := pt{-inner, up + 0.05}, pt{inner, up + 0.05}
		arc := curve([]pt{from}, from, pt{float64(-inner * 0.9), up - float64(handle*1.1)}, pt{0, up - handle})
		arc = curve(arc, pt{0, up - handle}, pt{float64(inner * 0.9), up - float64(handle*1.1)}, to)
		a.line(float64(a.tone*r.between(0.6, 1)), thick, arc...)
	}
	right := curve([]pt{{0, up}, {w - round, up}}, pt{w - round, up}, pt{w, up}, pt{w + 0.01, up + round})
	right = append(right, pt{foot, down - round})
	right = curve(right, pt{foot, down - round}, pt{foot, down}, pt{foot - round, down})
	a.fill(a.tone, mirrored(append(right, pt{0, down + 0.02}))...)
	switch r.intn(4) {
	case 0: // a flap with a clasp
		y := up + float64((down-up)*r.between(0.35, 0.6))
		a.fill(float64(a.tone*0.82), mirrored([]pt{{0, up}, {w - 0.02, up + 0.02}, {float64(w * 0.8), y - 0.06}, {0, y}})...)
		a.line(float64(a.tone*0.5), 0.035, pt{float64(-w * 0.8), y - 0.06}, pt{0, y}, pt{float64(w * 0.8), y - 0.06})
		a.fill(a.accent, ellipse(pt{0, y}, 0.07, 0.06)...)
	case 1: // a pocket
		y := (up + down) / 2
		a.line(float64(a.tone*0.55), 0.04, pt{float64(-w * 0.6), down - 0.08}, pt{float64(-w * 0.6), y}, pt{float64(w * 0.6), y}, pt{float64(w * 0.6), down - 0.08})
	case 2: // a zip and an emblem
		a.line(float64(a.tone*0.5), 0.05, pt{-w + 0.06, up + 0.1}, pt{w - 0.06, up + 0.1})
		a.fill(a.accent, ellipse(pt{0, (up + down) / 2}, r.between(0.06, 0.16), r.between(0.06, 0.14))...)
	}
}
