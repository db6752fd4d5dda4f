package data

// leastLast is the fewest images that the last batch of an epoch may have with
// LoaderConfig.Even, where half a batch is no fewer.
const leastLast = 8

// division is how the images of an epoch are cut into batches: all of them hold batch
// images but the last two, which hold ahead and last. A single one holds last.
type division struct {
	count, batch, ahead, last int
	shared                    bool // the last two share what is left
}

// divide cuts an epoch of images into batches of at most batch, which is no more than
// there are. Where even asks for it, a last batch of fewer than leastLast images, or of
// fewer than half a batch where that is fewer, is not made: the last two batches share
// their images evenly, and three images, which two batches cannot hold so, are one.
func divide(images, batch int, even, dropLast bool) division {
	rest := images % batch
	d := division{count: images / batch, batch: batch, ahead: batch, last: batch}
	if rest == 0 || dropLast {
		return d
	}
	least := min(leastLast, (batch+1)/2)
	switch {
	case even && batch == 2:
		d.last, d.shared = 3, true
	case even && rest < least:
		d.count++
		d.ahead, d.last, d.shared = (batch+rest+1)/2, (batch+rest)/2, true
	default:
		d.count++
		d.last = rest
	}
	return d
}

// of returns where batch k begins and how many images it has.
func (d division) of(k int) (first, n int) {
	switch first = k * d.batch; {
	case k == d.count-1 && k > 0:
		return first - d.batch + d.ahead, d.last
	case k == d.count-1:
		return first, d.last
	case k == d.count-2:
		return first, d.ahead
	}
	return first, d.batch
}

// sizes lists the sizes of batches that there are, those that come first before others.
func (d division) sizes() []int {
	var all []int
	for k := max(0, d.count-3); k < d.count; k++ {
		_, n := d.of(k)
		if len(all) == 0 || all[len(all)-1] != n {
			all = append(all, n)
		}
	}
	return all
}

// most is the largest of sizes.
func (d division) most() int { return max(d.batch, d.last) }

// Batches returns the number of batches in an epoch.
func (l *Loader) Batches() int { return l.cut.count }

// Sizes lists the sizes of the batches of an epoch, each once: the full one, and those of
// the last ones where they are others.
func (l *Loader) Sizes() []int { return l.cut.sizes() }

// Shared returns the sizes of the last batches where these share what a batch of few
// images would have held, as LoaderConfig.Even has it; else nil.
func (l *Loader) Shared() []int {
	switch d := l.cut; {
	case !d.shared:
		return nil
	case d.count*d.batch <= l.total:
		return []int{d.last}
	default:
		return []int{d.ahead, d.last}
	}
}

// Samples returns the number of images in an epoch.
func (l *Loader) Samples() int {
	if l.c.DropLast {
		return l.Batches() * l.c.Batch
	}
	return l.total
}
