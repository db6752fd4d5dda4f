package train

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/residual-ml/residual/models"
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

// offer is a training that a budget may choose, with the epochs it may have.
type offer struct {
	Config                  // resolved, but for the epochs
	least, enough, most int // below enough a smaller offer is better, below least none is
}

func (o offer) String() string {
	return fmt.Sprintf("%s at %dx%d", o.name(), o.Resize, o.Resize)
}

// name is the model's, with its blocks where they are not its own.
func (o offer) name() string {
	if o.Blocks == nil {
		return o.Model
	}
	return fmt.Sprintf("%s of %s blocks", o.Model, commas(o.Blocks))
}

// The epochs that a budget may choose, as shares of those of the recipe: half are enough
// for a net, the smallest net may have a quarter, and more than three times as many are
// of no use.
const (
	leastShare, enoughShare = 4, 2
	mostTimes               = 3
)

// offers are the trainings that a budget may choose from for c, which is resolved: those
// of PhotoRecipes up to the one that suits the number of pictures, the smallest first, as
// far as model and size were not given; for other data c alone.
func (c Config) offers() []offer {
	o := offer{Config: c, least: 1, enough: 1, most: mostTimes * c.Epochs}
	if c.IsPhotos() {
		o.least, o.enough = (c.Epochs+leastShare-1)/leastShare, (c.Epochs+enoughShare-1)/enoughShare
	}
	if !c.free.epochs {
		o.least, o.enough, o.most = c.Epochs, c.Epochs, c.Epochs
	}
	if !c.IsPhotos() || !c.free.model && !c.free.size {
		return []offer{o}
	}
	var all []offer
	for _, r := range PhotoRecipes() {
		next := o
		next.Config = c.like(r)
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

// fits is how many epochs fit into a time, with what comes before and after them.
func (e Estimate) fits(left time.Duration) int {
	once := e.Training(1) - e.Epoch - e.Evaluation + e.After // what the first epoch takes more, too
	return max(int((left-once)/max(e.each(), 1)), 0)
}

// each is an epoch but the first, with all that belongs to it.
func (e Estimate) each() time.Duration { return e.Epoch + e.Evaluation + e.Saving }

// reserve is the part of a budget that nothing is planned for: a machine is not always
// as fast as in a trial.
const reserve = 0.1

// choice is what a budget chose: an offer, its epochs and why.
type choice struct {
	offer, epochs int
	why           []string
}

// choose takes the largest offer of which enough epochs fit into what is left of a budget;
// the smallest if at least its least fit. measure tells what an offer takes, or that it is
// tooLarge, and is asked for the smaller ones first and for no larger one than may fit.
func choose(offers []offer, budget time.Duration, left func() time.Duration, measure func(i int) (Estimate, error)) (c choice, err error) {
	also := ""
	for i, o := range offers {
		e, err := measure(i)
		if large := (tooLarge{}); errors.As(err, &large) {
			if i == 0 {
				return c, fmt.Errorf("--budget: %v %w; give a smaller --batch or --resize, or --recompute", o, err)
			}
			also = fmt.Sprintf("%v %v", o, err)
			break
		}
		if err != nil {
			return c, err
		}
		rest := left()
		n := min(e.fits(rest-time.Duration(reserve*float64(budget))), o.most)
		if i > 0 && n < o.enough {
			also = fmt.Sprintf("%v would have had %s of %s each, and %d are the least for it", o, count(n), round(e.each()), o.enough)
			break
		}
		if n < o.least {
			return c, o.tooLong(e, n, budget, budget-rest)
		}
		also = ""
		if n == o.most && o.most > o.least {
			also = fmt.Sprintf("more than %d epochs would be of little use", n)
		}
		c.offer, c.epochs = i, n
		c.why = []string{fmt.Sprintf("%v for %s, %s each, suits %s (--budget)", o, count(n), round(e.each()), spell(budget))}
		if n < o.enough { // what is larger has no chance
			also = fmt.Sprintf("these are few: --budget %s would have room for %d", spell(needs(e, o.enough, budget-rest)), o.enough)
			break
		}
	}
	if also != "" {
		c.why = append(c.why, also)
	}
	return c, nil
}

// tooLarge is a training that does not fit into memory.
type tooLarge struct{ needs, has int64 }

func (t tooLarge) Error() string {
	return fmt.Sprintf("needs %d MiB of memory, and %d MiB are free", t.needs>>20, t.has>>20)
}

// roomFor complains about a training that needs more bytes than there are.
func (f *Forecast) roomFor(needs int64) error {
	if f.Memory > 0 && needs > f.Memory {
		return tooLarge{needs, f.Memory}
	}
	return nil
}

func count(epochs int) string {
	if epochs == 1 {
		return "1 epoch"
	}
	return fmt.Sprintf("%d epochs", epochs)
}

func round(d time.Duration) time.Duration {
	if d < time.Second {
		return d.Round(time.Millisecond)
	}
	return d.Round(100 * time.Millisecond)
}

// spell writes 10m for ten minutes, as the flag is given.
func spell(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}

// tooLong says what would fit; spent is what the program has taken so far.
func (o offer) tooLong(e Estimate, fit int, budget, spent time.Duration) error {
	fewer := ""
	if fit > 0 {
		fewer = fmt.Sprintf(", --epochs %d", fit)
	}
	return fmt.Errorf("--budget %s: %v takes %s an epoch, so that %d of at least %s fit; give --budget %s%s, or fewer pictures (--train-size)",
		spell(budget), o, round(e.each()), fit, count(o.least), spell(needs(e, o.least, spent)), fewer)
}

// needs is a budget for so many epochs, of which some is spent.
func needs(e Estimate, epochs int, spent time.Duration) time.Duration {
	step := 10 * time.Second
	need := time.Duration(float64(spent+e.of(epochs).Total) / (1 - reserve))
	if need > 10*time.Minute {
		step = time.Minute
	}
	return need.Truncate(step) + step
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
	took := make([]*Estimate, len(offers))
	left := func() time.Duration { return j.Forecast.Budget - time.Since(begun) }
	c, err := choose(offers, j.Forecast.Budget, left, func(i int) (Estimate, error) {
		if err := ready(i); err != nil {
			return Estimate{}, err
		}
		if err := j.Forecast.roomFor(j.trainer.Memory().Total()); err != nil {
			return Estimate{}, err // a trial would fill it
		}
		if took[i], err = j.estimate(ctx, offers[i].enough); err == nil && took[i] == nil {
			err = fmt.Errorf("--budget: the loss of %v is not finite in the first steps, so nothing can be measured; give a lower --lr, or leave the flag out to see where it fails", offers[i])
		}
		if err != nil {
			return Estimate{}, err
		}
		return *took[i], j.Forecast.roomFor(took[i].Memory.Total)
	})
	if err != nil {
		return s, err
	}
	if err := ready(c.offer); err != nil {
		return s, err
	}
	j.Epochs, j.trainer.options.Epochs, j.chosen = c.epochs, c.epochs, c.why
	if photos != nil {
		photos.ChosenFor = 0
	}
	s.Estimate = took[c.offer].of(c.epochs)
	return s, nil
}
