package data

// minLastBatch is the fewest images that the last batch of an epoch has with
// LoaderConfig.Even, unless half a batch is fewer.
const minLastBatch = 8

// division says how the images of an epoch are divided into batches. The last batch holds
// last images, the one before it beforeLast, and every other one batch.
type division struct {
	count, batch, beforeLast, last int
	shared                         bool // the images of the last two batches are divided between them
}

// divide divides an epoch of images into batches of at most batch images; batch is at most
// images. With even, the last two batches share their images evenly where the last one
// would have fewer than minLastBatch images or fewer than half a batch, whichever is less.
// When batch is 2 and one image is left over, the last three images are one batch.
func divide(images, batch int, even, dropLast bool) division {
	remainder := images % batch
	d := division{count: images / batch, batch: batch, beforeLast: batch, last: batch}
	if remainder == 0 || dropLast {
		return d
	}
	least := min(minLastBatch, (batch+1)/2)
	switch {
	case even && batch == 2:
		d.last, d.shared = 3, true
	case even && remainder < least:
		d.count++
		d.beforeLast, d.last, d.shared = (batch+remainder+1)/2, (batch+remainder)/2, true
	default:
		d.count++
		d.last = remainder
	}
	return d
}

// bounds returns the position of the first image of batch k and how many images it has.
func (d division) bounds(k int) (first, n int) {
	switch first = k * d.batch; {
	case k == d.count-1 && k > 0:
		return first - d.batch + d.beforeLast, d.last
	case k == d.count-1:
		return first, d.last
	case k == d.count-2:
		return first, d.beforeLast
	}
	return first, d.batch
}

// sizes lists the different sizes of batches in the order in which they first occur.
func (d division) sizes() []int {
	var all []int
	for k := max(0, d.count-3); k < d.count; k++ {
		_, n := d.bounds(k)
		if len(all) == 0 || all[len(all)-1] != n {
			all = append(all, n)
		}
	}
	return all
}

// maxSize is the largest of sizes.
func (d division) maxSize() int { return max(d.batch, d.last) }

// Batches returns the number of batches in an epoch.
func (l *Loader) Batches() int { return l.division.count }

// Sizes lists the sizes of the batches of an epoch, each once: that of a full batch, then
// those of the last ones where they differ.
func (l *Loader) Sizes() []int { return l.division.sizes() }

// Shared returns the sizes of the last batches when LoaderConfig.Even made them share their
// images, because the last one would have had too few; otherwise nil.
func (l *Loader) Shared() []int {
	switch d := l.division; {
	case !d.shared:
		return nil
	case d.count*d.batch <= l.total:
		return []int{d.last}
	default:
		return []int{d.beforeLast, d.last}
	}
}

// Samples returns the number of images in an epoch.
func (l *Loader) Samples() int {
	if l.c.DropLast {
		return l.Batches() * l.c.Batch
	}
	return l.total
}
