package report

import (
	"io"
	"strings"
	"sync"
	"time"
)

// ProgressOptions says what a Progress shows and how. With the zero value the
// display is live where the writer is a terminal, and plain elsewhere.
type ProgressOptions struct {
	Terminal bool // draw live even if the writer is not recognised as a terminal
	Plain    bool // plain lines even on a terminal
	NoColor  bool // no colours; NO_COLOR in the environment has the same effect

	Epochs          int     // number of epochs in the run; 0 if unknown
	BatchesPerEpoch int     // 0 if unknown: then there is no bar and no time left
	Curves          *Curves // drawn live on a terminal; the training adds the points

	Redraw time.Duration // shortest time between two draws; 0 means 200 ms
	Silent time.Duration // longest time without a plain line while steps arrive; 0 means a minute
	Pause  time.Duration // shortest time between the plain lines of epochs; 0 means 5 s, a negative one none

	// Now and Size replace the clock and the terminal's size in tests. With
	// Now set the display changes only when Step and the other methods are
	// called; otherwise it also follows a resized terminal between steps.
	Now  func() time.Time
	Size func() (columns, rows int)
}

// StepInfo describes a training batch that is done. An unknown value is NaN
// (Loss is shown even then, since it says that the run diverged).
type StepInfo struct {
	Epoch, Batch    int     // both count from 1
	Loss, Acc       float64 // mean loss, and fraction of correct answers in [0,1]
	ImagesPerSecond float64
}

// EpochInfo describes an epoch that is done. An accuracy that was not
// measured is NaN.
type EpochInfo struct {
	Epoch                        int // counts from 1
	TrainLoss, TrainAcc, TestAcc float64
	ImagesPerSecond              float64
	Elapsed                      time.Duration // time for this epoch; 0 is not shown
	More                         []string      // other measures as text, such as "test mae 0.250"
}

// Progress shows a training as it runs. On a terminal it redraws the curves in
// place with a bar under them, and leaves a line for each epoch. Elsewhere (and
// with TERM=dumb) it writes plain lines without escape sequences: one for an epoch, at most
// one in five seconds, the last one in any case, and one a minute within a long epoch. Its
// methods are safe for concurrent use. Call Close at the end, also after an interrupt:
// it restores the cursor.
type Progress struct {
	mu     sync.Mutex
	o      ProgressOptions
	live   bool
	color  bool
	screen screen
	pace   pace

	step     StepInfo // the latest
	stepped  bool
	testing  bool // the epoch's last batch is done, and EpochEnd not called yet
	drawnAt  time.Time
	drawnFor [2]int // size of the terminal at the last draw
	lines    lineRhythm
	unsaid   string // the plain line of the latest epoch, where it came too soon
	closed   bool
	stop     chan struct{}
}

// NewProgress starts a display on w. It writes nothing before the first step,
// epoch or note.
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
	if o.Pause == 0 {
		p.o.Pause = 5 * time.Second
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

// follow redraws between steps: soon after the terminal was resized, and once a
// second for the time left.
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

// Step reports a batch that is done.
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
			p.unsaid = ""
			p.screen.write(p.stepLine() + "\n")
		}
		return
	}
	if p.testing || now.Sub(p.drawnAt) >= p.o.Redraw {
		p.draw(nil)
	}
}

// EpochEnd reports an epoch that is done, its test included. Its line stays on screen.
func (p *Progress) EpochEnd(e EpochInfo) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	now := p.o.Now()
	p.pace.epochEnd(now, e.Epoch)
	p.testing = false
	line, last := p.epochLine(e), p.o.Epochs > 0 && e.Epoch >= p.o.Epochs
	if !p.live && !last && now.Sub(p.lines.last) < p.o.Pause {
		p.unsaid = line
		return
	}
	p.unsaid = ""
	p.lines.said(now)
	p.keep(line)
}

// Note prints a line that stays on screen, such as a warning or the name of a
// saved file. It works even after Close.
func (p *Progress) Note(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keep(printable(text))
}

// Close draws the last state, restores the cursor and ends the display; later
// steps and epochs are not shown. Of plain lines it writes that of the latest epoch, if that
// one came too soon after another. It returns the first error of the writer.
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
	} else if p.unsaid != "" {
		p.screen.write(p.unsaid + "\n")
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

// draw shows as much of the curves and the bar as the terminal has room for.
func (p *Progress) draw(above []string) {
	columns, rows := p.o.Size()
	var block []string
	if p.stepped {
		bar := p.bar(columns - 1)
		block = append(p.chart(columns-1, rows-3), bar)
		if _, run := p.timeLeft(); rows > 5 && !strings.Contains(bar, run) {
			block = append(block, clip(run+" left", columns-1)) // the run's time left, on a line of its own
		}
	}
	p.screen.draw(above, block)
	p.drawnAt, p.drawnFor = p.o.Now(), [2]int{columns, rows}
}

// chart returns the curves in at most the given room, or nil where the room is too
// small or there is no point yet.
func (p *Progress) chart(columns, rows int) []string {
	const widest, highest = 100, 16
	if p.o.Curves == nil || !p.o.Curves.any() {
		return nil
	}
	text := p.o.Curves.Terminal(min(columns, widest), min(rows, highest), p.color)
	return splitLines(text)
}

// lineRhythm decides which steps become plain lines: one when nothing has been written
// for a while. The last batch has none, since the epoch's line follows.
type lineRhythm struct{ last time.Time }

func (r *lineRhythm) due(now time.Time, s StepInfo, o ProgressOptions) bool {
	ends := o.BatchesPerEpoch > 0 && s.Batch >= o.BatchesPerEpoch
	if ends || now.Sub(r.last) < o.Silent {
		return false
	}
	r.last = now
	return true
}

// said records that another line was written.
func (r *lineRhythm) said(now time.Time) { r.last = now }
