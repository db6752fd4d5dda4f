package train

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/train/foresight"
	"github.com/residual-ml/residual/train/recipe"
)

// offer is a training that a budget may choose. Its Config is resolved except for the epochs.
type offer struct {
	Config
	foresight.Offer
}

// title names the training for the user: the model, with its blocks if they are not its own,
// and the size of the images.
func (c Config) title() string {
	name := c.Model
	if len(c.Blocks) > 0 {
		name = fmt.Sprintf("%s of %s blocks", c.Model, strings.ReplaceAll(strings.Trim(fmt.Sprint(c.Blocks), "[]"), " ", ","))
	}
	return fmt.Sprintf("%s at %dx%d", name, c.Resize, c.Resize)
}

// leastSteps is the number of steps with which a training by a budget is of some use.
const leastSteps = 20

// offers returns the trainings from which a budget may choose for c, which is resolved. For a
// user's own images, if the model or the size was not given, they are those of recipe.OffersFor.
// Otherwise there is only c.
func (c Config) offers() []offer {
	if !c.IsPhotos() || !c.free.model && !c.free.size {
		return []offer{c.offer(0)}
	}
	var all []offer
	r, side := recipe.ForPhotos(c.free.images), c.free.side
	if !c.free.size {
		side = c.Resize
	}
	for _, o := range r.OffersFor(side) {
		if o.Augment != "" && !c.free.epochs {
			continue // the passes that it is for are not chosen
		}
		next := c.taking(r, o).offer(o.PassesFor(c.free.images))
		same := func(p offer) bool {
			return p.Model == next.Model && slices.Equal(p.Blocks, next.Blocks) && p.Resize == next.Resize && p.Augment == next.Augment
		}
		if i := slices.IndexFunc(all, same); i >= 0 {
			all = slices.Delete(all, i, i+1)
		}
		all = append(all, next)
	}
	return all
}

// offer returns the offer of c, whose settings are resolved, with the passes over the images that it
// is worth; 0 if that is not known.
func (c Config) offer(passes float64) offer {
	most := float64(recipe.Times)
	o := foresight.Offer{Name: c.title(), Enough: passes / float64(max(c.Repeat, 1))}
	if passes == 0 {
		o.Enough, most = 1, float64(3*c.Epochs)
	}
	o.Most = o.Enough * most
	if !c.free.epochs {
		n := float64(c.Epochs)
		o.Least, o.Enough, o.Most = n, n, n
	}
	return offer{c, o}
}

// taking returns c with the settings that were not given taken from an offer of a recipe.
func (c Config) taking(r recipe.Photos, o recipe.Offer) Config {
	f := c.free
	if f.model {
		c.Model, c.Blocks = o.Model, nil
		if e, err := models.Lookup(o.Model); err == nil && !f.size {
			if e, err = e.WithStem(models.StemFor(c.Resize)); err == nil {
				c.Model = e.Name
			}
		}
	}
	if f.size {
		c.Resize = o.Size
		if e, err := models.Lookup(c.Model); err == nil && e.FixedSize {
			c.Resize = e.Height
		}
		if f.shorter {
			c.ResizeShorter = recipe.PhotoShorter(c.Resize, f.side)
		}
		if c.Progressive >= c.Resize {
			c.Progressive = 0
		}
	}
	if f.augment && c.Freeze != FreezeBackbone {
		c.Augment = cmp.Or(o.Augment, recipe.PhotoAugment(c.Resize, f.side))
	}
	if f.batch {
		c.Batch = 0
	}
	if f.rate {
		c.LR = 0
	}
	if f.epochs {
		c.Epochs, c.Repeat = 0, f.repeat
	}
	rule := recipe.Budgeted(f.images)
	if c.Weights != "" {
		rule = recipe.Tuned()
	}
	c = c.ruledBy(rule, f.images)
	if f.epochs && f.repeat == 0 {
		c.Repeat = o.RepeatFor(c.Repeat)
	}
	if c.CropScale = 0; c.augment().Crops() {
		c.CropScale = f.cropScale
		if f.crop {
			c.CropScale = r.CropScale
		}
	}
	return c.Resolved()
}

// fit chooses the training that suits the budget, and makes it ready.
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
		j.trainer, j.module, at = nil, nil, i // frees their memory before the next is built
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
		s, err = j.readyOn(ctx, train, test)
		return err
	}
	names := make([]foresight.Offer, len(offers))
	for i, o := range offers {
		names[i] = o.Offer
		names[i].Cost = float64(plan{Config: o.Config}.multiplyAdds()) * float64(max(o.Repeat, 1)) * o.growth()
	}
	left := func() time.Duration { return j.Forecast.Budget - time.Since(begun) }
	c, err := foresight.Choose(names, j.Forecast.Budget, left, func(i int) (e foresight.Estimate, err error) {
		if err := ready(i); err != nil {
			return e, err
		}
		if err := j.Forecast.fits(j.trainer.Memory().Total()); err != nil {
			return e, err // measuring would fill the memory
		}
		if offers[i].free.epochs {
			names[i].Least = min(1, leastSteps/float64(j.trainer.Batches()))
		}
		took, err := j.estimate(ctx, 1)
		if err == nil && took == nil {
			err = field.Errorf("{Budget}: the loss of %v is not finite in the first steps, so nothing can be measured; give a lower {LR}, or leave the budget out to see where it fails", names[i])
		}
		if err != nil {
			return e, err
		}
		spread(took)
		return *took, j.Forecast.fits(took.Memory.Total)
	})
	if err != nil {
		return s, err
	}
	if err := ready(c.Offer); err != nil {
		return s, err
	}
	j.chosen = c.Why
	if photos != nil {
		photos.ChosenFor, photos.SizedFor = 0, 0
		if j.free.size && j.free.side <= j.Resize {
			photos.SizedFor = j.free.side
		}
	}
	if j.free.epochs {
		j.paced(newPace(begun, j.Forecast.Budget, c, offers[c.Offer].Most, j.trainer.Batches()))
	}
	s.Estimate = &c.Estimate
	return s, nil
}

// paced makes the training follow a pace.
func (j *job) paced(p *pace) {
	j.pace = p
	p.batchesAfter(0)
	j.trainer.SetLength(p.batchesAfter)
	j.decided()
}
