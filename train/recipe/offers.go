package recipe

import (
	"math"
	"slices"
)

// Offer is a training that a budget of time may choose for a user's own images: a net at a size of
// the images, and the number of passes over these from which on it is worth its cost.
type Offer struct {
	Model   string
	Size    int     // pixels of both sides; smaller if the images are
	Passes  float64 // over the images
	Augment string  // one of Augmentations; empty for that of PhotoAugment
}

// TinyOffers returns the offers for a user's own images of less than 48 pixels, and Offers those for
// larger ones, ordered by their cost. docs/photos.md says what was measured. Large images that a net
// sees 40 times and more are changed more, since it learns them by heart otherwise; in tiny ones
// little is left then.
func TinyOffers() []Offer {
	return []Offer{
		{"resnet9-16", 40, 4, ""},
		{"resnet9-24", 40, 10, ""},
		{"resnet9-32", 40, 14, ""},
		{"resnet9-64", 40, 30, ""},
	}
}

// Offers is described at TinyOffers.
func Offers() []Offer {
	return []Offer{
		{"resnet9-16-s2", 64, 4, ""},
		{"resnet9-16-s2", 64, 40, "trivial"},
		{"resnet9-16-s2", 96, 150, "trivial"},
		{"resnet9-32-s2", 96, 150, "trivial"},
		{"resnet9-64-s2", 128, 150, "trivial"},
	}
}

// OffersFor returns the offers for images whose shorter sides have the median side, of which none
// is larger than the recipe allows. Sizes above the images' own are cut down to it.
func (p Photos) OffersFor(side int) (list []Offer) {
	most, all := p.SizeFor(side), Offers()
	if most < tinySize {
		all = TinyOffers()
	}
	last := most // the first size of the table that has room for the images
	for _, o := range slices.Backward(all) {
		if o.Size >= most {
			last = o.Size
		}
	}
	for _, o := range all {
		if o.Size <= last {
			o.Size = min(o.Size, most)
			list = append(list, o)
		}
	}
	return list
}

// Times is how often the passes of an offer may be repeated for a longer budget: more gain little.
const Times = 8

// few is the number of images as which a smaller set counts: it is gone over more often, so that
// there are as many steps.
const few = 480

// PassesFor returns the passes over so many images that the offer is worth.
func (o Offer) PassesFor(images int) float64 {
	return o.Passes * max(1, few/float64(max(images, 1)))
}

// RepeatFor returns how many passes over the images an epoch of the offer has, of a rule's: so many
// that testing takes a small part of the time.
func (o Offer) RepeatFor(rule int) int { return max(rule, int(math.Round(o.Passes/7))) }

// Budgeted is the rule of a training from new weights by a budget of time, which decides the steps.
func Budgeted(images int) Rule {
	r := Rule{Batch: 64, Rate: 0.1, Steps: 600, Passes: 40, Large: 5000}
	if images < 1000 {
		r.Batch = 32
	}
	return r
}
