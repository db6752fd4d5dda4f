package report

import (
	"io"
	"math"
	"strings"
	"sync"
	"time"
)

// ProgressOptions says what a Progress shows and how. The zero value asks
// the writer whether it is a terminal.
type ProgressOptions struct {
	Terminal bool // draw live although the writer is not known to be a terminal
	Plain    bool // plain lines even on a terminal
	NoColor  bool // no colours; NO_COLOR in the environment asks for the same

	Epochs          int     // of the run; 0 if unknown
	BatchesPerEpoch int     // 0 if unknown: no bar and no time left
	Curves          *Curves // drawn live on a terminal; the training adds the points

	Redraw time.Duration // shortest time between two draws; 0 is 200 ms
	Silent time.Duration // longest time without a plain line while steps come; 0 is a minute

	// Now and Size replace the clock and the terminal's size, for tests.
	// With a clock of its own the display moves only when it is told of a
	// step; else it also follows a resized terminal between steps.
	Now  func() time.Time
	Size func() (columns, rows int)
}

// StepInfo is what is known after a training batch. A value that is not
// known is NaN (Loss is shown even then: it says that the run diverged).
type StepInfo struct {
	Epoch, Batch    int     // both count from 1
	Loss, Acc       float64 // mean loss, share of right answers in [0,1]
	ImagesPerSecond float64
}

// EpochInfo is what is known after an epoch. An accuracy that was not
// measured is NaN.
type EpochInfo struct {
	Epoch                        int // counts from 1
	TrainLoss, TrainAcc, TestAcc float64
	ImagesPerSecond              float64
	Elapsed                      time.Duration // of this epoch; 0 is not shown
}

// Progress shows a training as it runs: on a terminal the curves with a bar
// under them, redrawn in place, and a line for each epoch; elsewhere (and
// with TERM=dumb) plain lines without escape sequences. Its methods may be
// called from several goroutines. Call Close at the end, also on an
// interrupt: it gives the cursor back.
type Progress struct {
	mu     sync.Mutex
	o      ProgressOptions
	live   bool
	color  bool
	screen screen
	pace   pace

	step     StepInfo // the latest
	stepped  bool
	testing  bool // the epoch's last batch is done, its end not told yet
	drawnAt  time.Time
	drawnFor [2]int // size of the terminal at the last draw
	lines    lineRhythm
	closed   bool
	stop     chan struct{}
}

// NewProgress starts a display on w. It writes nothing before the first
// step, epoch or note.
func NewProgress(w io.Writer, o ProgressOptions) *Progress {
	p := &Progress{o: o}
	p.live = !o.Plain && !dumb() && (o.Terminal || IsTerminal(w))
	p.color = p.live && !o.NoColor && colorWanted()
	ownClock := o.Now == nil
	if ownClock {
		p.o.Now = time.Now
	}
	if o.Size == nil {
		p.o.Size = func() (int, int) { return TerminalSize(w) }
	}
	if o.Redraw <= 0 {
		p.o.Redraw = 200 * time.Millisecond
	}
	if o.Silent <= 0 {
		p.o.Silent = time.Minute
	}
	p.screen = screen{w: w, size: p.o.Size}
	p.pace = pace{batches: o.BatchesPerEpoch, epochs: o.Epochs}
	p.lines.last = p.o.Now()
	if p.live && ownClock {
		p.stop = make(chan struct{})
		go p.follow(p.stop)
	}
	return p
}

// follow redraws between steps: for a resized terminal soon, for the time
// left once a second.
func (p *Progress) follow(stop chan struct{}) {
	t := time.NewTicker(250 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case <-stop:
			return
		case <-t.C:
			p.mu.Lock()
			columns, rows := p.o.Size()
			old := p.o.Now().Sub(p.drawnAt) >= time.Second
			if p.stepped && !p.closed && (old || p.drawnFor != [2]int{columns, rows}) {
				p.draw(nil)
			}
			p.mu.Unlock()
		}
	}
}

// Step tells of a batch done.
func (p *Progress) Step(s StepInfo) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	now := p.o.Now()
	p.pace.step(now, s.Epoch, s.Batch)
	p.step, p.stepped = s, true
	p.testing = p.o.BatchesPerEpoch > 0 && s.Batch >= p.o.BatchesPerEpoch
	if !p.live {
		if p.lines.due(now, s, p.o) {
			p.screen.write(p.stepLine() + "\n")
		}
		return
	}
	if p.testing || now.Sub(p.drawnAt) >= p.o.Redraw {
		p.draw(nil)
	}
}

// EpochEnd tells of an epoch done, its test included. Its line stays.
func (p *Progress) EpochEnd(e EpochInfo) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	now := p.o.Now()
	p.pace.epochEnd(now, e.Epoch)
	p.lines.said(now)
	p.testing = false
	p.keep(p.epochLine(e))
}

// Note prints a line that stays: a file saved, a warning. It does so even
// after Close.
func (p *Progress) Note(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keep(printable(text))
}

// Close draws the last state, gives the cursor back and ends the display;
// later steps and epochs are not shown. It returns the first error of the
// writer.
func (p *Progress) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return p.screen.err
	}
	p.closed = true
	if p.stop != nil {
		close(p.stop)
	}
	if p.live {
		if p.stepped {
			p.draw(nil)
		}
		p.screen.release()
	}
	return p.screen.err
}

func (p *Progress) keep(line string) {
	if p.live && !p.closed {
		p.draw([]string{line})
		return
	}
	p.screen.write(line + "\n")
}

// draw shows the curves and the bar as far as the terminal has room.
func (p *Progress) draw(above []string) {
	columns, rows := p.o.Size()
	var block []string
	if p.stepped {
		bar := p.bar(columns - 1)
		block = append(p.chart(columns-1, rows-3), bar)
		if _, run := p.timeLeft(); rows > 5 && !strings.Contains(bar, run) {
			block = append(block, clip(run+" left", columns-1)) // a line of its own, then
		}
	}
	p.screen.draw(above, block)
	p.drawnAt, p.drawnFor = p.o.Now(), [2]int{columns, rows}
}

// chart is the curves in at most the given room, none where it is too
// small or nothing has been drawn yet.
func (p *Progress) chart(columns, rows int) []string {
	const widest, highest = 100, 16
	if p.o.Curves == nil || !p.o.Curves.any() {
		return nil
	}
	text := p.o.Curves.Terminal(min(columns, widest), min(rows, highest), p.color)
	return splitLines(text)
}

// lineRhythm decides which steps become plain lines: one when nothing has been
// said for long. The last batch has none, for the epoch's line follows.
type lineRhythm struct{ last time.Time }

func (r *lineRhythm) due(now time.Time, s StepInfo, o ProgressOptions) bool {
	ends := o.BatchesPerEpoch > 0 && s.Batch >= o.BatchesPerEpoch
	if ends || now.Sub(r.last) < o.Silent {
		return false
	}
	r.last = now
	return true
}

// said notes that a line of another kind was written.
func (r *lineRhythm) said(now time.Time) { r.last = now }

func known(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
