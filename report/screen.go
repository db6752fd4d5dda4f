package report

import (
	"io"
	"strconv"
	"strings"
)

const (
	hideCursor   = "\x1b[?25l"
	showCursor   = "\x1b[?25h"
	clearToRight = "\x1b[K"
	clearBelow   = "\x1b[J"
)

// screen redraws a block of lines in place at the bottom of a terminal. The
// cursor always waits at the start of the line below the block, so that
// anything else that is printed (an error, a ^C) begins on a line of its own.
type screen struct {
	w      io.Writer
	size   func() (columns, rows int)
	drawn  []int // widths of the block's lines on the screen
	hidden bool
	err    error // the writer's first error; nothing is written after it
}

// draw replaces the block by lines. The lines of above, if any, are printed over
// the block and stay. The block's lines must be narrower than the terminal.
func (s *screen) draw(above, lines []string) {
	columns, _ := s.size()
	var b strings.Builder
	if !s.hidden {
		b.WriteString(hideCursor)
		s.hidden = true
	}
	b.WriteString("\r")
	if up := s.height(columns); up > 0 {
		b.WriteString("\x1b[" + strconv.Itoa(up) + "A")
	}
	if len(above) > 0 {
		b.WriteString(clearBelow) // they may wrap over the old block
		for _, l := range above {
			b.WriteString(l + "\n")
		}
	}
	s.drawn = s.drawn[:0]
	for _, l := range lines {
		b.WriteString(l + clearToRight + "\n")
		s.drawn = append(s.drawn, textWidth(l))
	}
	b.WriteString(clearBelow)
	s.write(b.String())
}

// height is the number of rows that the block occupies now: a terminal that was
// made narrower has wrapped the lines that no longer fit.
func (s *screen) height(columns int) int {
	n := 0
	for _, w := range s.drawn {
		n += 1 + max(0, w-1)/max(1, columns)
	}
	return n
}

// release leaves the block where it is and restores the cursor.
func (s *screen) release() {
	if s.hidden {
		s.write(showCursor)
		s.hidden = false
	}
	s.drawn = nil
}

func (s *screen) write(text string) {
	if s.err == nil {
		_, s.err = io.WriteString(s.w, text)
	}
}
