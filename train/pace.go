package train

import (
	"math"
	"sort"
	"time"

	"github.com/residual-ml/residual/train/foresight"
	"github.com/residual-ml/residual/train/loop"
)

// pace decides the length of a training by a budget while it goes on, so that it ends in time at the
// speed that the machine turns out to have.
type pace struct {
	now      func() time.Time
	end      time.Time     // of everything
	after    time.Duration // the work after the training, at the speed of the trial
	first    time.Duration // of a batch, in the trial
	interval time.Duration // least time between two decisions
	batches  int           // in an epoch
	most     int           // batches in all
	step     time.Duration // of a batch, with images of the last size
	stages   []float64     // loop.Speed.Stages
	each     time.Duration // test and files of an epoch

	length []int // Config.Length so far
	at     int   // batches made, and
	since  time.Time
	idle   time.Duration // time since then that was not spent on batches
	ended  time.Time     // the last batch of an epoch that is not tested yet; else zero
}

// decisions is how many times the length may be decided, about, in a budget.
const decisions = 25

// newPace returns the pace of a choice for a budget that has begun. A training has at most so many epochs.
func newPace(begun time.Time, budget time.Duration, c foresight.Choice, most float64, batches int) *pace {
	keep := time.Duration(foresight.Reserve * float64(budget))
	p := &pace{
		now: time.Now, end: begun.Add(budget - keep), after: c.Estimate.After, interval: budget / decisions, batches: batches,
		each: c.Estimate.Evaluation + c.Estimate.Saving, stages: c.Estimate.Stages,
	}
	p.step = max(time.Duration(float64(c.Estimate.Epoch)/meanOf(p.stages)/float64(batches)), 1)
	p.first = p.step
	p.most = int(math.Round(most * float64(batches)))
	return p
}

// batchesAfter is loop.Trainer.SetLength's question: the length after so many batches.
func (p *pace) batchesAfter(made int) int {
	now := p.now()
	if len(p.length) == 0 {
		return p.decide(now, made)
	}
	last := p.length[len(p.length)-1]
	took := now.Sub(p.since) - p.idle
	if !p.ended.IsZero() {
		took -= now.Sub(p.ended)
	}
	early := made+1 >= last && p.end.Sub(now)-p.after > p.interval // after a stall, the end would come too soon
	if took < p.interval && !early || made == p.at {
		return last
	}
	p.step = max((p.step+time.Duration(float64(took)/p.work(p.at, made, last)))/2, 1) // a moment in which something else computes counts half
	return p.decide(now, made)
}

// decide records how long the training is to be, unless it is nearly as before.
func (p *pace) decide(now time.Time, made int) int {
	n := min(made+max(p.fit(now, made), 1), p.most)
	p.at, p.since, p.idle = made, now, 0
	if len(p.length) > 0 {
		last := p.length[len(p.length)-1]
		if change := max(n-last, last-n); 100*change <= last-made {
			return last
		}
	}
	p.length = append(p.length, made, n)
	return n
}

// fit returns how many more batches fit into the time. The epochs that they complete are tested.
func (p *pace) fit(now time.Time, made int) (best int) {
	left := p.end.Sub(now) - time.Duration(float64(p.after)*max(1, float64(p.step)/float64(max(p.first, 1))))
	if !p.ended.IsZero() {
		left -= p.each
	}
	done := made % p.batches
	for tests := 1; ; tests++ {
		room := tests*p.batches - done
		n := sort.Search(room, func(n int) bool { // the first number after which one more is too many
			return p.work(made, made+n+1, made+n+1)*float64(p.step) > float64(left-time.Duration(tests)*p.each)
		})
		best = max(best, n)
		if n < room || made+room >= p.most {
			return best
		}
	}
}

// work returns how many batches with images of the last size take as long as those from made on to n, in
// a training of all batches.
func (p *pace) work(made, n, all int) float64 {
	if len(p.stages) == 0 {
		return float64(n - made)
	}
	sum := 0.0
	for made < n {
		epoch := made/p.batches + 1
		end := min(epoch*p.batches, n)
		sum += float64(end-made) * p.stages[loop.StageOf(epoch, p.batches, all, len(p.stages))]
		made = end
	}
	return sum
}

// point notes the last batch of an epoch, whose test follows.
func (p *pace) point(at Point) {
	if p != nil && at.X == math.Trunc(at.X) {
		p.ended = p.now()
	}
}

// tested notes the end of all work after an epoch.
func (p *pace) tested() {
	if p == nil {
		return
	}
	p.each = p.now().Sub(p.ended)
	p.idle, p.ended = p.idle+p.each, time.Time{}
}
