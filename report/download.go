package report

import (
	"io"
	"strings"
	"sync"
	"time"
)

// Download shows the progress of a download to w under the name `what`, and
// returns the function to tell it: the bytes done and, where it is known
// (else 0 or less), their total. On a terminal a bar is redrawn in place,
// elsewhere a plain line comes each minute and at the end. Every line is
// complete at any time, so that a failed download needs no other call.
func Download(w io.Writer, what string) func(done, total int64) {
	d := newDownload(w, what, IsTerminal(w), UseColor(w), time.Now)
	return d.tell
}

type download struct {
	mu     sync.Mutex
	what   string
	live   bool
	color  bool
	now    func() time.Time
	screen screen

	start  time.Time
	first  int64 // bytes that were there at the start (a download resumed)
	last   time.Time
	told   bool
	before int64
}

func newDownload(w io.Writer, what string, live, color bool, now func() time.Time) *download {
	d := &download{what: printable(what), live: live, color: color, now: now}
	d.screen = screen{w: w, size: func() (int, int) { return TerminalSize(w) }}
	d.screen.hidden = true // one line needs no hidden cursor, so none is to be given back
	return d
}

func (d *download) tell(done, total int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	if !d.told || done < d.before { // the first call, or begun again elsewhere
		d.start, d.first = now, done
		d.last = time.Time{}
		if !d.live {
			d.last = now
		}
	}
	again := d.told && done == d.before && total > 0 && done == total
	d.told, d.before = true, done
	if again {
		return
	}
	complete := total > 0 && done >= total
	if d.live {
		if complete || now.Sub(d.last) >= 200*time.Millisecond {
			columns, _ := d.screen.size()
			d.screen.draw(nil, []string{d.line(now, done, total, columns-1)})
			d.last = now
		}
		return
	}
	if complete || now.Sub(d.last) >= time.Minute {
		d.screen.write(strings.Join(d.parts(now, done, total), "  ") + "\n")
		d.last = now
	}
}

// line is the live line in at most width columns: the bar, then the time
// left and the speed, give way first.
func (d *download) line(now time.Time, done, total int64, width int) string {
	parts := d.parts(now, done, total)
	for n := len(parts); n > 1; n-- {
		text := strings.Join(parts[:n], "  ")
		free := width - textWidth(text) - 2
		if free >= 8 && total > 0 && n == len(parts) {
			return parts[0] + "  " + fill(min(free, 32), int(done*100/max(1, total)), 100, d.color) +
				text[len(parts[0]):]
		}
		if free >= -2 {
			return text
		}
	}
	return clip(d.what, width)
}

func (d *download) parts(now time.Time, done, total int64) []string {
	size := Bytes(done)
	if total > 0 {
		size += " of " + Bytes(total)
	}
	parts := []string{d.what, size}
	took := now.Sub(d.start).Seconds()
	if took <= 0 || done <= d.first {
		return parts
	}
	speed := float64(done-d.first) / took
	parts = append(parts, Bytes(int64(speed))+"/s")
	if total > done {
		parts = append(parts, "left "+whole(time.Duration(float64(total-done)/speed*float64(time.Second))))
	}
	return parts
}
