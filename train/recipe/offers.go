package recipe

import "slices"

// Offer is a training that a budget of time may choose for a user's own images: a net at a size of
// the images, and the number of passes over these from which on it is worth its cost.
type Offer struct {
	Model  string
	Size   int     // pixels of both sides; smaller if the images are
	Passes float64 // over the images
}

// Offers returns the offers for a user's own images, ordered by their cost. Whoever measures better
// ones changes this table, and nothing else.
func Offers() []Offer {
	return []Offer{
		{"resnet9-16", 40, 4},
		{"resnet9-16", 64, 4},
		{"resnet9-32", 40, 10},
		{"resnet9-32", 64, 10},
		{"resnet9-64", 40, 24},
		{"resnet9-64", 64, 30},
		{"resnet9-64", 96, 40},
		{"resnet18", 128, 40},
		{"resnet18", 224, 60},
	}
}

// OffersFor returns the offers for images whose shorter sides have the median side, of which none
// is larger than the recipe allows. Sizes above the images' own are cut down to it.
func (p Photos) OffersFor(side int) (list []Offer) {
	most := p.SizeFor(side)
	last := most // the first size of the table that has room for the images
	for _, o := range slices.Backward(Offers()) {
		if o.Size >= most {
			last = o.Size
		}
	}
	for _, o := range Offers() {
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

// Budgeted is the rule of a training from new weights by a budget of time, which decides the steps.
func Budgeted(images int) Rule {
	r := Rule{Batch: 64, Rate: 0.1, Steps: 600, Passes: 40, Large: 5000}
	if images < 1000 {
		r.Batch = 32
	}
	return r
}
