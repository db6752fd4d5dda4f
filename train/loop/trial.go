package loop

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/tensor"
)

// Speed is the estimated duration of the parts of a training, as measured by Trainer.Measure.
// If a data set caches decoded images, the first epoch takes longer than the following ones.
type Speed struct {
	FirstEpoch, Epoch           time.Duration // training without the evaluation
	FirstEvaluation, Evaluation time.Duration // evaluation of the test set; 0 without one
	Step                        time.Duration // step on a full batch, in a later epoch
	Batch                       int           // images in a full batch
	Steps                       int           // number of timed steps; 0 if the loss was not finite from the start, and nothing is known

	// Stages has the time of an epoch in each of Options.Stages and in the last stage, as a multiple of
	// that of the last; nil without stages.
	Stages []float64
}

// Training returns the time of so many epochs of training and evaluation.
func (s Speed) Training(epochs int) time.Duration {
	if epochs < 1 {
		return 0
	}
	return s.FirstEpoch + s.FirstEvaluation + time.Duration(epochs-1)*(s.Epoch+s.Evaluation)
}

// A trial takes the fraction trialShare of the training's time, or trialLeast if that is at
// most the fraction trialShort. It takes at most trialMost, unless a few steps take longer.
const (
	trialShare = 0.02
	trialShort = 0.05
	trialLeast = time.Second
	trialMost  = 5 * time.Second
)

// trialLimit returns the time for a trial of a training that takes the time training.
func trialLimit(training, least time.Duration) time.Duration {
	share := func(of float64) time.Duration { return time.Duration(of * float64(training)) }
	return min(max(share(trialShare), min(share(trialShort), trialLeast), least), trialMost)
}

// fewSteps returns the minimal number of consecutive steps in a trial of a training with all
// steps. The first step is slower than the others and does not count if there are others.
func fewSteps(all int) int {
	switch {
	case all >= 100:
		return 4 // three count, so that one of them may be slowed down by something else
	case all >= 20:
		return 2
	}
	return 1
}

// Measure estimates the speed of the training by timing complete steps on the first batches
// of the first epoch, and some batches of the evaluation. It takes about the time least, or a
// few hundredths of a training of so many epochs if that is more, but at most some seconds
// and at least a few steps. Measure leaves the Trainer unchanged to the last bit: parameters,
// buffers, optimiser, averages and random numbers. It panics if a step has been made already.
func (t *Trainer) Measure(ctx context.Context, epochs int, least time.Duration) (Speed, error) {
	if t.steps != 0 || t.store.Step() != 0 || t.past.Epochs != 0 {
		panic(tensor.Misusef("loop.Trainer.Measure after %d steps; measure before the first", t.steps))
	}
	r := trial{Trainer: t, epochs: epochs, least: least}
	s, err := r.run(ctx)
	if err == nil && s.Steps > 0 {
		err = r.timeStages(ctx, &s)
	}
	if again := t.restart(); err == nil {
		err = again
	}
	return s, err
}

// restart undoes all steps. It requires that the module's host values were not updated.
func (t *Trainer) restart() error {
	t.steps = 0
	t.sum.clear()
	t.store.Reset()
	t.ahead.begun, t.ahead.looked = false, 0
	return t.average.start(&t.trainee)
}

// trial is one call of Measure.
type trial struct {
	*Trainer
	epochs int
	least  time.Duration
	limit  time.Duration // of a pass over batches
}

func (r *trial) run(ctx context.Context) (s Speed, err error) {
	all, caching := r.loader.Samples(), mayCache(r.dataset)
	s.Batch = min(r.options.Batch, all)
	defer func() { s.Step = s.Epoch * time.Duration(s.Batch) / time.Duration(all) }()
	cold, err := r.timeBatches(ctx, all, !caching, r.loader, r.trainOn)
	if errors.Is(err, ErrNotFinite) {
		err = nil // the training will fail in the same way and say where
	}
	s.Steps = cold.timed
	if err != nil || s.Steps == 0 {
		return Speed{}, err
	}
	s.Epoch = cold.timeOf(all)
	s.FirstEpoch = s.Epoch
	if caches(r.dataset) {
		warm, err := r.timeBatches(ctx, cold.images, true, r.loader, r.trainOn)
		if err != nil && !errors.Is(err, ErrNotFinite) {
			return Speed{}, err
		}
		s.Steps += warm.timed
		s.Epoch = mixed(r.dataset, warm.timeOf(all), s.Epoch)
		s.FirstEpoch = cold.timeOf(all-cold.images) + warm.timeOf(cold.images) // the images of the trial are cached now
	}
	if r.tests == nil {
		return s, nil
	}
	r.limit /= 4
	err = r.evaluation(ctx, &s)
	return s, err
}

// evaluation times the evaluation of the test set.
func (r *trial) evaluation(ctx context.Context, s *Speed) error {
	all := r.testset.Len()
	cold, err := r.timeBatches(ctx, all, !mayCache(r.testset), r.tests, r.evaluateOn)
	if err != nil {
		return err
	}
	s.Evaluation = cold.timeOf(all)
	s.FirstEvaluation = s.Evaluation
	if !caches(r.testset) {
		return nil
	}
	warm, err := r.timeBatches(ctx, cold.images, true, r.tests, r.evaluateOn)
	if err != nil {
		return err
	}
	s.Evaluation = mixed(r.testset, warm.timeOf(all), s.Evaluation)
	s.FirstEvaluation = cold.timeOf(all-cold.images) + warm.timeOf(cold.images)
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

// timeStages times some steps of every stage but the last, with images that run has read, and takes
// them into s.
func (r *trial) timeStages(ctx context.Context, s *Speed) error {
	last := r.stages.now
	if last == 0 {
		return nil
	}
	times := make([]time.Duration, last+1)
	for i := range last {
		if err := r.enter(i); err != nil {
			return err
		}
		w, err := r.timeBatches(ctx, r.loader.Samples(), true, r.loader, r.trainOn)
		if err != nil && !errors.Is(err, ErrNotFinite) {
			return err
		}
		times[i] = w.timeOf(r.loader.Samples())
	}
	r.staged(times, s)
	return r.enter(last)
}

// staged corrects the estimate for the epochs with other images than the last. The epochs that
// Measure is asked about are the last ones.
func (r *trial) staged(times []time.Duration, s *Speed) {
	last := len(times) - 1
	times[last], s.Stages = s.Epoch, nil
	for _, took := range times {
		s.Stages = append(s.Stages, float64(took)/float64(max(s.Epoch, 1)))
	}
	first := max(r.options.Epochs-r.epochs, 0) + 1
	of := func(epoch int) time.Duration { return times[r.stageOf(epoch)] }
	s.FirstEpoch += of(first) - s.Epoch
	s.Epoch = of(first)
	if later := r.options.Epochs - first; later > 0 {
		s.Epoch = 0
		for epoch := first + 1; epoch <= r.options.Epochs; epoch++ {
			s.Epoch += of(epoch) / time.Duration(later)
		}
	}
}

// timing is the measured time of batches.
type timing struct {
	images int           // different images in all batches
	took   time.Duration // time of the timed batches, without stalls
	of     int           // images in the timed batches
	timed  int           // number of timed batches
}

// timeOf returns the time for so many images.
func (w timing) timeOf(images int) time.Duration {
	if w.of == 0 {
		return 0
	}
	return time.Duration(float64(w.took) * float64(images) / float64(w.of))
}

// timeBatches times batches from the beginning of an epoch, with at most so many images,
// until they took as long as a trial may. If there are too few for that and again is set, it
// repeats them. The first call also determines how long a trial may take.
func (r *trial) timeBatches(ctx context.Context, images int, again bool, l *data.Loader, each func(*data.Batch) error) (w timing, err error) {
	few, first := fewSteps(r.epochs*r.Batches()), r.limit == 0
	var times []time.Duration
	var sizes []int
	enough := func() bool {
		w.sum(times, sizes)
		if first {
			r.limit = trialLimit(w.timeOf(images)*time.Duration(r.epochs), r.least)
			if mayCache(r.dataset) {
				r.limit /= 2 // one pass reads the images, and one finds them in the cache
			}
		}
		return len(times) >= few && w.took >= r.limit
	}
	for pass := 0; pass == 0 || again; pass++ {
		done := 0
		e := l.Epoch(ctx, 1)
		for done < images {
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
				w.images = done
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

// sum computes the timing of the batches. It leaves out the first fifth, at least one, since
// programs touch their memory for the first time and the loader gets ahead. So that a stall of
// the machine does not count, sum divides the batches into consecutive runs and takes the
// median of their times per image. Each run contains both fast and slow batches of a loader
// that cannot keep up.
func (w *timing) sum(times []time.Duration, sizes []int) {
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
	each := make([]float64, runs) // nanoseconds per image
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

// mayCache reports whether a data set may cache decoded images.
func mayCache(ds data.Dataset) bool {
	_, _, ok := data.As[data.Cacher](ds)
	return ok
}

// caches reports whether a data set has cached decoded images.
func caches(ds data.Dataset) bool {
	k, _, ok := data.As[data.Cacher](ds)
	if !ok {
		return false
	}
	n, _, _ := k.Cached()
	return n > 0
}

// cacheSize returns how many bytes of decoded images a data set will cache, and the share of
// its images. Both are 0 for a data set that caches none.
func cacheSize(ds data.Dataset) (bytes int64, share float64) {
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

// mixed returns the time of an epoch in which a share of the images is cached.
func mixed(ds data.Dataset, warm, cold time.Duration) time.Duration {
	_, share := cacheSize(ds)
	return time.Duration(share*float64(warm) + (1-share)*float64(cold))
}

// ImageBytes returns the memory of the decoded-image cache and of the batches that are
// prepared at the same time, in bytes: all of it, and the part that is not allocated yet.
func (t *Trainer) ImageBytes() (all, coming int64) {
	sets, loaders := []data.Dataset{t.dataset}, []*data.Loader{t.loader}
	if t.testset != nil {
		sets, loaders = append(sets, t.testset), append(loaders, t.tests)
	}
	for _, ds := range sets {
		cached := data.ResidentBytes(ds)
		will, _ := cacheSize(ds)
		if will > cached {
			coming += will - cached
		}
		all += max(cached, will)
	}
	for _, l := range loaders {
		all += l.Bytes()
	}
	return all, coming
}
