package report

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

// glass is a terminal of a given size that understands what screen sends,
// wraps long lines and reports anything else.
type glass struct {
	t             *testing.T
	columns, rows int
	lines         [][]rune // all since the start; the last rows are visible
	x, y          int      // y counts all lines
	hidden        bool
	writes        int
}

func newGlass(t *testing.T, columns, rows int) *glass {
	return &glass{t: t, columns: columns, rows: rows, lines: make([][]rune, 1)}
}

func (g *glass) Write(b []byte) (int, error) {
	g.writes++
	text := []rune(string(b))
	for i := 0; i < len(text); i++ {
		switch r := text[i]; {
		case r == '\r':
			g.x = 0
		case r == '\n':
			g.x = 0
			g.down()
		case r == 0x1b:
			end := i + 2
			for end < len(text) && (text[end] < '@' || text[end] > '~') {
				end++
			}
			g.command(string(text[i+1 : end+1]))
			i = end
		case r < ' ':
			g.t.Errorf("control character %q", r)
		default:
			g.put(r)
		}
	}
	return len(b), nil
}

func (g *glass) down() {
	g.y++
	if g.y == len(g.lines) {
		g.lines = append(g.lines, nil)
	}
}

func (g *glass) put(r rune) {
	if g.x == g.columns {
		g.x = 0
		g.down()
	}
	for len(g.lines[g.y]) <= g.x {
		g.lines[g.y] = append(g.lines[g.y], ' ')
	}
	g.lines[g.y][g.x] = r
	g.x++
}

func (g *glass) command(c string) {
	switch {
	case c == hideCursor[1:]:
		g.hidden = true
	case c == showCursor[1:]:
		g.hidden = false
	case c == clearToRight[1:]:
		g.lines[g.y] = g.lines[g.y][:min(g.x, len(g.lines[g.y]))]
	case c == clearBelow[1:]:
		g.lines = g.lines[:g.y+1]
		g.command(clearToRight[1:])
	case strings.HasSuffix(c, "A"):
		n, err := strconv.Atoi(c[1 : len(c)-1])
		if err != nil {
			g.t.Errorf("command %q", c)
		}
		top := max(0, len(g.lines)-g.rows)
		g.y = max(top, g.y-n)
	case strings.HasSuffix(c, "m"):
	default:
		g.t.Errorf("command %q is not understood", c)
	}
}

// resize rewraps the lines, as most terminals do.
func (g *glass) resize(columns, rows int) {
	var lines [][]rune
	for _, l := range g.lines {
		for len(l) > columns {
			lines, l = append(lines, l[:columns:columns]), l[columns:]
		}
		lines = append(lines, l)
	}
	g.columns, g.rows, g.lines = columns, rows, lines
	g.y = len(lines) - 1
}

func (g *glass) size() (int, int) { return g.columns, g.rows }

func (g *glass) text() string {
	var out []string
	for _, l := range g.lines {
		out = append(out, strings.TrimRight(string(l), " "))
	}
	return strings.TrimRight(strings.Join(out, "\n"), "\n")
}

// clock is a time that moves only by pass.
type clock struct{ at time.Time }

func newClock() *clock { return &clock{time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time { return c.at }

// pass advances the clock by s seconds.
func (c *clock) pass(s float64) { c.at = c.at.Add(time.Duration(s * float64(time.Second))) }

func withTerminal(t *testing.T) {
	t.Setenv("NO_COLOR", "")
	t.Setenv("TERM", "xterm")
}

func lines(s string) []string { return strings.Split(strings.TrimRight(s, "\n"), "\n") }

func last(s string) string { all := lines(s); return all[len(all)-1] }

func TestIsTerminal(t *testing.T) {
	if IsTerminal(&strings.Builder{}) || UseColor(&strings.Builder{}) {
		t.Error("a buffer is taken for a terminal")
	}
	if c, r := TerminalSize(&strings.Builder{}); c != 80 || r != 24 {
		t.Errorf("size of no terminal is %dx%d, want 80x24", c, r)
	}
}
