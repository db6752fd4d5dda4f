package report

import "time"

// pace estimates the time left from the latest batches. It uses a window and not
// the whole run, because the first batch of a run includes compilation.
type pace struct {
	batches, epochs int // in an epoch, in the run; 0 if unknown

	epoch    int
	window   []tick
	perBatch time.Duration // 0 until known
	testing  time.Duration // from an epoch's last batch to its end
}

// tick records when a number of batches of the epoch were done.
type tick struct {
	at   time.Time
	done int
}

const paceWindow = 50

// step records that `batch` batches of the epoch are done.
func (p *pace) step(now time.Time, epoch, batch int) {
	if epoch != p.epoch {
		p.epoch, p.window = epoch, p.window[:0]
	}
	if n := len(p.window); n > 0 && batch <= p.window[n-1].done {
		p.window = p.window[:0] // the epoch has restarted
	}
	p.window = append(p.window, tick{now, batch})
	if len(p.window) > paceWindow {
		p.window = append(p.window[:0], p.window[1:]...)
	}
	first := p.window[0]
	if took := now.Sub(first.at); batch > first.done && took > 0 {
		p.perBatch = took / time.Duration(batch-first.done)
	}
}

// epochEnd records that an epoch, its test included, is over and the next one
// begins.
func (p *pace) epochEnd(now time.Time, epoch int) {
	if n := len(p.window); n > 0 && epoch == p.epoch {
		p.testing = now.Sub(p.window[n-1].at)
	}
	p.epoch = epoch + 1
	p.window = append(p.window[:0], tick{now, 0})
}

// left is the time to the end of the epoch and of the run, their tests included;
// ok is false until it can be estimated.
func (p *pace) left(now time.Time) (epoch, run time.Duration, ok bool) {
	if p.perBatch == 0 || p.batches <= 0 || len(p.window) == 0 {
		return 0, 0, false
	}
	last := p.window[len(p.window)-1]
	perEpoch := time.Duration(p.batches)*p.perBatch + p.testing
	epoch = time.Duration(max(0, p.batches-last.done))*p.perBatch + p.testing - now.Sub(last.at)
	epoch = max(0, epoch)
	return epoch, epoch + time.Duration(max(0, p.epochs-p.epoch))*perEpoch, true
}
