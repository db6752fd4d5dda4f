package train

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/train/foresight"
)

// free says which settings were not given, so that a budget may choose them.
type free struct {
	model, size, shorter, batch, rate, crop, epochs bool

	pictures int // to train on, where they were counted
}

// noting notes what a budget may choose, once.
func (c Config) noting() Config {
	if c.free == nil && c.Forecast != nil && c.Forecast.Budget > 0 {
		c.free = &free{
			model: c.Model == "" && c.Blocks == nil, size: c.Resize == 0, shorter: c.ResizeShorter == 0,
			batch: c.Batch == 0, rate: c.LR == 0, crop: c.CropScale == 0, epochs: c.Epochs == 0,
		}
	}
	return c
}

// offer is a training that a budget may choose: its Config is resolved but for the epochs.
type offer struct {
	Config
	foresight.Offer
}

// called is what the user reads of an offer: the model, with its blocks where they are not
// its own, and the size of the images.
func (c Config) called() string {
	name := c.Model
	if c.Blocks != nil {
		name = fmt.Sprintf("%s of %s blocks", c.Model, commas(c.Blocks))
	}
	return fmt.Sprintf("%s at %dx%d", name, c.Resize, c.Resize)
}

// The epochs that a budget may choose, as shares of those of the recipe: half are enough
// for a net, the smallest net may have a quarter, and more than three times as many are
// of no use.
const (
	leastShare, enoughShare = 4, 2
	mostTimes               = 3
)

// offers are the trainings that a budget may choose from for c, which is resolved: those
// of PhotoRecipes up to the one that suits the number of images, the smallest first, as
// far as model and size were not given; for other data c alone.
func (c Config) offers() []offer {
	o := offer{c, foresight.Offer{Name: c.called(), Least: 1, Enough: 1, Most: mostTimes * c.Epochs}}
	if c.IsPhotos() {
		o.Least, o.Enough = (c.Epochs+leastShare-1)/leastShare, (c.Epochs+enoughShare-1)/enoughShare
	}
	if !c.free.epochs {
		o.Least, o.Enough, o.Most = c.Epochs, c.Epochs, c.Epochs
	}
	if !c.IsPhotos() || !c.free.model && !c.free.size {
		return []offer{o}
	}
	var all []offer
	for _, r := range PhotoRecipes() {
		next := o
		next.Config = c.like(r)
		next.Name = next.called()
		same := func(p offer) bool {
			return p.Model == next.Model && slices.Equal(p.Blocks, next.Blocks) && p.Resize == next.Resize
		}
		if i := slices.IndexFunc(all, same); i >= 0 {
			all = slices.Delete(all, i, i+1)
		}
		all = append(all, next)
		if r.Most == 0 || c.free.pictures <= r.Most {
			break
		}
	}
	return all
}

// like is c with what a recipe says of what was not given.
func (c Config) like(r PhotoRecipe) Config {
	f := c.free
	if f.model {
		c.Model, c.Blocks = r.Model, r.Blocks
	}
	if f.size {
		c.Resize = r.Resize
		if e, err := models.Lookup(c.Model); err == nil && e.FixedSize {
			c.Resize = e.Height
		}
		if f.shorter {
			c.ResizeShorter = 0
		}
	}
	if f.batch {
		c.Batch = min(r.Batch, max(f.pictures, 1))
	}
	if f.rate { // the fewer steps, the larger it is, and the milder are the crops
		c.LR = r.rateOf(c)
	}
	if f.crop && c.crops() {
		c.CropScale = r.CropScale
	}
	return c.Resolved()
}

// fit makes the training ready that suits the budget.
func (j *job) fit(ctx context.Context) (s Start, err error) {
	begun := j.Forecast.Begun
	if begun.IsZero() {
		begun = j.begun
	}
	offers := j.offers()
	train, test, photos, err := j.open(ctx, nil, j.cb.OnData)
	if err != nil {
		return s, err
	}
	j.photos = photos
	at := -1
	ready := func(i int) error {
		if i == at {
			return nil
		}
		j.trainer, j.module, at = nil, nil, i // before the next takes memory
		rehearsal := j.rehearsal
		if j.plan, err = offers[i].Config.planOn(j.dev); err != nil {
			return err
		}
		j.rehearsal = rehearsal
		if photos != nil {
			if train, test, err = photos.parts(ctx, j.plan); err != nil {
				return err
			}
		}
		s, err = j.readyOn(train, test)
		return err
	}
	took, names := make([]*foresight.Estimate, len(offers)), make([]foresight.Offer, len(offers))
	for i, o := range offers {
		names[i] = o.Offer
	}
	left := func() time.Duration { return j.Forecast.Budget - time.Since(begun) }
	c, err := foresight.Choose(names, j.Forecast.Budget, left, func(i int) (e foresight.Estimate, err error) {
		if err := ready(i); err != nil {
			return e, err
		}
		if err := foresight.RoomFor(j.trainer.Memory().Total(), j.Forecast.Memory); err != nil {
			return e, err // a trial would fill it
		}
		if took[i], err = j.estimate(ctx, offers[i].Enough); err == nil && took[i] == nil {
			err = field.Errorf("{Budget}: the loss of %v is not finite in the first steps, so nothing can be measured; give a lower {LR}, or leave the budget out to see where it fails", names[i])
		}
		if err != nil {
			return e, err
		}
		return *took[i], foresight.RoomFor(took[i].Memory.Total, j.Forecast.Memory)
	})
	if err != nil {
		return s, err
	}
	if err := ready(c.Offer); err != nil {
		return s, err
	}
	j.Epochs, j.chosen = c.Epochs, c.Why
	j.trainer.SetEpochs(c.Epochs)
	if photos != nil {
		photos.ChosenFor = 0
	}
	s.Estimate = took[c.Offer].For(c.Epochs)
	return s, nil
}
