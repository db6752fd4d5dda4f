package train

import (
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

// The epochs that a budget may choose, relative to those of the recipe: half of them are
// enough for a network, the smallest network may have a quarter, and more than three times as
// many gain little.
const (
	minShare, enoughShare = 4, 2
	maxTimes              = 3
)

// offers returns the trainings from which a budget may choose for c, which is resolved. For a
// user's own images, if the model or the size was not given, they follow recipe.AllPhotos up
// to the recipe that suits the number of images, the smallest first. Otherwise there is only c.
func (c Config) offers() []offer {
	o := c.offer()
	if !c.IsPhotos() || !c.free.model && !c.free.size {
		return []offer{o}
	}
	var all []offer
	for _, r := range recipe.AllPhotos() {
		next := c.taking(r).offer()
		same := func(p offer) bool {
			return p.Model == next.Model && slices.Equal(p.Blocks, next.Blocks) && p.Resize == next.Resize
		}
		if i := slices.IndexFunc(all, same); i >= 0 {
			all = slices.Delete(all, i, i+1)
		}
		all = append(all, next)
		if r.MaxImages == 0 || c.free.images <= r.MaxImages {
			break
		}
	}
	return all
}

// offer returns the offer of c, whose settings are resolved.
func (c Config) offer() offer {
	o := offer{c, foresight.Offer{Name: c.title(), MinEpochs: 1, EnoughEpochs: 1, MaxEpochs: maxTimes * c.Epochs}}
	if c.IsPhotos() {
		o.MinEpochs, o.EnoughEpochs = (c.Epochs+minShare-1)/minShare, (c.Epochs+enoughShare-1)/enoughShare
	}
	if !c.free.epochs {
		o.MinEpochs, o.EnoughEpochs, o.MaxEpochs = c.Epochs, c.Epochs, c.Epochs
	}
	return o
}

// taking returns c with the settings that were not given taken from a recipe.
func (c Config) taking(r recipe.Photos) Config {
	f := c.free
	if f.model {
		c.Model, c.Blocks = r.Model, r.Blocks
	}
	if f.size {
		c.Resize = r.SizeFor(f.side)
		if e, err := models.Lookup(c.Model); err == nil && e.FixedSize {
			c.Resize = e.Height
		}
		if f.shorter {
			c.ResizeShorter = recipe.PhotoShorter(c.Resize, f.side)
		}
		if f.augment && c.Freeze != FreezeBackbone {
			c.Augment = recipe.PhotoAugment(c.Resize, f.side)
		}
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
	c = c.ruled(f.images)
	if f.crop && c.augment().Crops() {
		c.CropScale = r.CropScale
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
	took, names := make([]*foresight.Estimate, len(offers)), make([]foresight.Offer, len(offers))
	for i, o := range offers {
		names[i] = o.Offer
	}
	left := func() time.Duration { return j.Forecast.Budget - time.Since(begun) }
	c, err := foresight.Choose(names, j.Forecast.Budget, left, func(i int) (e foresight.Estimate, err error) {
		if err := ready(i); err != nil {
			return e, err
		}
		if err := j.Forecast.fits(j.trainer.Memory().Total()); err != nil {
			return e, err // measuring would fill the memory
		}
		if took[i], err = j.estimate(ctx, offers[i].EnoughEpochs); err == nil && took[i] == nil {
			err = field.Errorf("{Budget}: the loss of %v is not finite in the first steps, so nothing can be measured; give a lower {LR}, or leave the budget out to see where it fails", names[i])
		}
		if err != nil {
			return e, err
		}
		return *took[i], j.Forecast.fits(took[i].Memory.Total)
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
