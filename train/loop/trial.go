package loop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/residual-ml/residual/data"
)

// Speed is how fast a training was when it was tried: what Trainer.Measure returns. An
// evaluation is one of all that is tested on. Where a data set keeps decoded what it has
// read, the first time is slower than those after it.
type Speed struct {
	FirstEpoch, Epoch           time.Duration // of training alone
	FirstEvaluation, Evaluation time.Duration // 0 without a test set
	Step                        time.Duration // of a full batch, as in Epoch
	Batch                       int           // pictures in that
	Steps                       int           // that were timed; 0: nothing is known, for the loss was no number at once
}

// Training is the time of epochs of training and evaluation.
func (s Speed) Training(epochs int) time.Duration {
	if epochs < 1 {
		return 0
	}
	return s.FirstEpoch + s.FirstEvaluation + time.Duration(epochs-1)*(s.Epoch+s.Evaluation)
}

// A trial takes trialShare of the training, or trialLeast if that is no more than
// trialShort of it, but no more than trialMost, unless a few steps take longer.
const (
	trialShare = 0.02
	trialShort = 0.05
	trialLeast = time.Second
	trialMost  = 5 * time.Second
)

// trialLimit is the time for the steps of a trial, of a training that takes so long.
func trialLimit(training, least time.Duration) time.Duration {
	share := func(of float64) time.Duration { return time.Duration(of * float64(training)) }
	return min(max(share(trialShare), min(share(trialShort), trialLeast), least), trialMost)
}

// fewSteps is how many steps in a row are tried at least, of all that a training makes:
// the first is slower than the rest, and is not counted where there are others.
func fewSteps(all int) int {
	switch {
	case all >= 100:
		return 4 // three are counted, so that one may be a stall
	case all >= 20:
		return 2
	}
	return 1
}

// Measure tries out how fast the training is: the first batches of the first epoch, with
// all that belongs to a step, and some of the evaluation's. It takes about least, or some
// hundredths of a training of so many epochs where that is more, but neither more than some
// seconds, nor less than a few steps. After it the Trainer is what it was before, to the
// last bit: parameters, buffers, optimiser, averages and random streams. It panics when a
// step has been made already.
func (t *Trainer) Measure(ctx context.Context, epochs int, least time.Duration) (Speed, error) {
	if t.steps != 0 || t.store.Step() != 0 || t.past.Epochs != 0 {
		panic(fmt.Sprintf("loop.Trainer.Measure after %d steps; measure before the first", t.steps))
	}
	r := trial{Trainer: t, epochs: epochs, least: least}
	s, err := r.run(ctx)
	if again := t.restart(); err == nil {
		err = again
	}
	return s, err
}

// restart takes back all that steps have done, as long as nothing was pulled.
func (t *Trainer) restart() error {
	t.steps = 0
	t.sum.clear()
	t.store.Reset()
	return t.average.start(t)
}

// trial is one call of Measure.
type trial struct {
	*Trainer
	epochs int
	least  time.Duration
	limit  time.Duration // of a walk
}

func (r *trial) run(ctx context.Context) (s Speed, err error) {
	all, twice := r.dataset.Len(), keeper(r.dataset)
	s.Batch = min(r.options.Batch, all)
	defer func() { s.Step = s.Epoch * time.Duration(s.Batch) / time.Duration(all) }()
	cold, err := r.walk(ctx, all, !twice, r.loader, r.trainOn)
	if errors.Is(err, ErrNotFinite) {
		err = nil // the training will meet it, too, and says where
	}
	s.Steps = cold.timed
	if err != nil || s.Steps == 0 {
		return Speed{}, err
	}
	s.Epoch = cold.whole(all)
	s.FirstEpoch = s.Epoch
	if keeps(r.dataset) {
		warm, err := r.walk(ctx, cold.pictures, true, r.loader, r.trainOn)
		if err != nil && !errors.Is(err, ErrNotFinite) {
			return Speed{}, err
		}
		s.Steps += warm.timed
		s.Epoch = mixed(r.dataset, warm.whole(all), s.Epoch)
		s.FirstEpoch = cold.whole(all-cold.pictures) + warm.whole(cold.pictures) // those of the trial are kept now
	}
	if r.tests == nil {
		return s, nil
	}
	r.limit /= 4
	err = r.evaluation(ctx, &s)
	return s, err
}

// evaluation times that of the test set.
func (r *trial) evaluation(ctx context.Context, s *Speed) error {
	all := r.testset.Len()
	cold, err := r.walk(ctx, all, !keeper(r.testset), r.tests, r.evaluateOn)
	if err != nil {
		return err
	}
	s.Evaluation = cold.whole(all)
	s.FirstEvaluation = s.Evaluation
	if !keeps(r.testset) {
		return nil
	}
	warm, err := r.walk(ctx, cold.pictures, true, r.tests, r.evaluateOn)
	if err != nil {
		return err
	}
	s.Evaluation = mixed(r.testset, warm.whole(all), s.Evaluation)
	s.FirstEvaluation = cold.whole(all-cold.pictures) + warm.whole(cold.pictures)
	return nil
}

func (r *trial) trainOn(b *data.Batch) error {
	_, _, err := r.stepOn(b, r.rate())
	return err
}

func (r *trial) evaluateOn(b *data.Batch) error {
	_, err := r.runner.LogitsOf(r.tests, b)
	return err
}

// walked is what a walk over a part of a data set took.
type walked struct {
	pictures int           // of all its batches, each counted once
	took     time.Duration // of those that were timed, without stalls
	of       int           // pictures in them
	timed    int           // batches
}

// whole is the time of so many pictures.
func (w walked) whole(pictures int) time.Duration {
	if w.of == 0 {
		return 0
	}
	return time.Duration(float64(w.took) * float64(pictures) / float64(w.of))
}

// walk times batches of an epoch's beginning, of at most so many pictures, until they
// took as long as a trial may; where these are too few for that it goes over them again, if
// it may. The first walk finds out how long a trial may take.
func (r *trial) walk(ctx context.Context, pictures int, again bool, l *data.Loader, each func(*data.Batch) error) (w walked, err error) {
	few, first := fewSteps(r.epochs*r.Batches()), r.limit == 0
	var times []time.Duration
	var sizes []int
	enough := func() bool {
		w.sum(times, sizes)
		if first {
			r.limit = trialLimit(w.whole(pictures)*time.Duration(r.epochs), r.least)
			if keeper(r.dataset) {
				r.limit /= 2 // there is a walk to read pictures, and one where they are kept
			}
		}
		return len(times) >= few && w.took >= r.limit
	}
	for pass := 0; pass == 0 || again; pass++ {
		done := 0
		e := l.Epoch(ctx, 1)
		for done < pictures {
			start := time.Now()
			var b *data.Batch
			if b, err = e.Next(); err != nil {
				break
			}
			n := len(b.Indices)
			err = each(b)
			b.Release()
			if err != nil {
				break
			}
			times, sizes = append(times, time.Since(start)), append(sizes, n)
			if done += n; pass == 0 {
				w.pictures = done
			}
			if enough() {
				again = false
				break
			}
		}
		e.Close()
		if err != nil && !errors.Is(err, io.EOF) {
			return w, err
		}
		if len(times) == 0 {
			break
		}
	}
	return w, nil
}

// sum adds up the batches without the first fifth of them, at least one: programs touch
// their memory for the first time, and the loader gets ahead. A stall of the machine does
// not count: of runs of batches in a row, in which the loader's fast and slow ones are
// mixed, the middle one by its time for a picture stands for all.
func (w *walked) sum(times []time.Duration, sizes []int) {
	skip := (len(times) + 4) / 5
	if len(times) == 1 {
		skip = 0
	}
	times, sizes = times[skip:], sizes[skip:]
	n, runs := len(times), 1
	switch {
	case n >= 15:
		runs = 5
	case n >= 3:
		runs = 3
	}
	each := make([]float64, runs) // nanoseconds for a picture
	w.took, w.of, w.timed = 0, 0, n
	for r := range runs {
		took, of := time.Duration(0), 0
		for i := r * n / runs; i < (r+1)*n/runs; i++ {
			took += times[i]
			of += sizes[i]
		}
		w.of += of
		each[r] = float64(took) / float64(max(of, 1))
	}
	slices.Sort(each)
	w.took = time.Duration(each[runs/2] * float64(w.of))
}

// keeper says whether a data set may keep decoded what it has read.
func keeper(ds data.Dataset) bool {
	_, _, ok := data.As[data.Cacher](ds)
	return ok
}

func keeps(ds data.Dataset) bool {
	k, _, ok := data.As[data.Cacher](ds)
	if !ok {
		return false
	}
	n, _, _ := k.Cached()
	return n > 0
}

// keeping is how many bytes of decoded pictures a data set will keep, and what share of
// its pictures that is; 0 for one that keeps none.
func keeping(ds data.Dataset) (bytes int64, share float64) {
	k, _, ok := data.As[data.Cacher](ds)
	if !ok {
		return 0, 0
	}
	n, has, most := k.Cached()
	if n == 0 {
		return 0, 0
	}
	all := float64(has) / float64(n) * float64(ds.Len())
	if all <= float64(most) {
		return int64(all), 1
	}
	return most, float64(most) / all
}

// mixed is the time of an epoch of which a share is in memory.
func mixed(ds data.Dataset, warm, cold time.Duration) time.Duration {
	_, share := keeping(ds)
	return time.Duration(share*float64(warm) + (1-share)*float64(cold))
}

// ImageBytes is the memory of the images that the training keeps decoded and of the batches
// that are prepared at once: all in all, and how much of it is still to come.
func (t *Trainer) ImageBytes() (all, coming int64) {
	sets, loaders := []data.Dataset{t.dataset}, []*data.Loader{t.loader}
	if t.testset != nil {
		sets, loaders = append(sets, t.testset), append(loaders, t.tests)
	}
	for _, ds := range sets {
		held := data.ResidentBytes(ds)
		will, _ := keeping(ds)
		if will > held {
			coming += will - held
		}
		all += max(held, will)
	}
	for _, l := range loaders {
		all += l.Bytes()
	}
	return all, coming
}
