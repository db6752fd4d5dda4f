package folder

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/residual-ml/residual/data/transforms"
)

// looksOf are what groups is tried on: n looks, of about as many kinds as there are ways
// for images to be alike or not.
var looksOf = map[string]func(r *rand.Rand, n int) []look{
	"random": func(r *rand.Rand, n int) []look {
		return drawn(n, func(i int, l *look) { l.rises = [4]uint64{r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64()} })
	},
	"equal": func(r *rand.Rand, n int) []look {
		return drawn(n, func(i int, l *look) { l.rises[2] = 0xff10 })
	},
	"even": func(r *rand.Rand, n int) []look {
		return drawn(n, func(i int, l *look) { l.ok = i%7 != 0 })
	},
	// Each look differs a little from the one before, and the last from the first in all.
	"chain": func(r *rand.Rand, n int) []look {
		var rises [4]uint64
		for w := range rises {
			rises[w] = r.Uint64()
		}
		return drawn(n, func(i int, l *look) {
			rises = flipped(r, rises, 1+r.IntN(3))
			l.rises = rises
		})
	},
	// The same where many have a row in common, as cameras write into every image.
	"chain under a caption": func(r *rand.Rand, n int) []look {
		rises := [4]uint64{r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64()}
		return drawn(n, func(i int, l *look) {
			rises = flipped(r, rises, 3)
			rises[0] = rises[0]&^0xffff | 0x1248
			l.rises = rises
		})
	},
	"random under a caption": func(r *rand.Rand, n int) []look {
		return drawn(n, func(i int, l *look) {
			l.rises = [4]uint64{r.Uint64()&^0xffff | 0x1248, r.Uint64(), r.Uint64(), r.Uint64()}
		})
	},
	// Some scenes many times, so near the limit that only some copies are alike.
	"clusters": func(r *rand.Rand, n int) []look {
		var scenes [][4]uint64
		for range 1 + n/50 {
			scenes = append(scenes, [4]uint64{r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64()})
		}
		return drawn(n, func(i int, l *look) { l.rises = flipped(r, scenes[r.IntN(len(scenes))], r.IntN(13)) })
	},
	// All copies of one scene, changed in many places or in the few that there are.
	"one cluster": func(r *rand.Rand, n int) []look {
		scene := [4]uint64{r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64()}
		return drawn(n, func(i int, l *look) { l.rises = flipped(r, scene, 8) })
	},
	"a few places": func(r *rand.Rand, n int) []look {
		return drawn(n, func(i int, l *look) { l.rises = [4]uint64{0x00f0, r.Uint64N(1 << 18), 0x00ff00, 0} })
	},
	// Little in them: a rise here and there, as drawings on an even ground have.
	"drawings": func(r *rand.Rand, n int) []look {
		return drawn(n, func(i int, l *look) {
			for range 1 + r.IntN(30) {
				row, x := r.IntN(side), 6+r.IntN(5)
				l.rises[row/4] |= 1 << (row%4*side + x)
			}
		})
	},
	// One outline in many colours: of a grey scale, and of all.
	"greys": func(r *rand.Rand, n int) []look {
		return drawn(n, func(i int, l *look) {
			l.rises = [4]uint64{0xf0f0, 1 << r.IntN(8), 0, 0xff}
			l.colours.Pix = slices.Repeat([]uint8{uint8(r.IntN(256))}, 3*side*side)
		})
	},
	"colours": func(r *rand.Rand, n int) []look {
		return drawn(n, func(i int, l *look) {
			l.rises = [4]uint64{0xf0f0, 0, 0, 0xff}
			l.colours.Pix = nil
			for range 3 * 4 {
				l.colours.Pix = append(l.colours.Pix, slices.Repeat([]uint8{uint8(r.IntN(256))}, side*side/4)...)
			}
		})
	},
}

var plainColours = make([]uint8, 3*side*side)

// drawn makes looks of one colour, unless draw says otherwise.
func drawn(n int, draw func(i int, l *look)) []look {
	all := make([]look, n)
	for i := range all {
		all[i].ok = true
		all[i].colours = transforms.Image{Channels: 3, Height: side, Width: side, Pix: plainColours}
		draw(i, &all[i])
	}
	return all
}

// flipped changes n places, or fewer.
func flipped(r *rand.Rand, rises [4]uint64, n int) [4]uint64 {
	for range n {
		rises[r.IntN(4)] ^= 1 << r.IntN(64)
	}
	return rises
}

// eachWithEach is what groups finds, by comparing each with each.
func eachWithEach(looks []look) []int {
	group := make([]int, len(looks))
	for i := range looks {
		group[i] = i
		for j := range i {
			if group[i] != group[j] && looks[i].ok && looks[j].ok && looks[i].alike(&looks[j]) {
				one, other := max(group[i], group[j]), min(group[i], group[j])
				for k := range i + 1 {
					if group[k] == one {
						group[k] = other
					}
				}
			}
		}
	}
	return group
}

func TestGroupsAreThoseOfComparingEachWithEach(t *testing.T) {
	for name, draw := range looksOf {
		t.Run(name, func(t *testing.T) {
			for seed, n := range []int{0, 1, 2, 40, few, few + 1, 700, 1500} {
				looks := draw(rand.New(rand.NewPCG(uint64(seed), 7)), n)
				got, err := groups(t.Context(), looks)
				if err != nil {
					t.Fatal(err)
				}
				want := eachWithEach(looks)
				if !slices.Equal(got, want) {
					i := 0
					for got[i] == want[i] {
						i++
					}
					t.Fatalf("of %d looks, number %d is in group %d, want %d", n, i, got[i], want[i])
				}
			}
		})
	}
}

// Pairs at the limit of what is alike, whatever else there is.
func TestGroupsAtTheLimit(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	together := 0
	for n := range 300 {
		looks := looksOf["random"](r, few+2)
		rises := r.IntN(120)
		var one [4]uint64
		for range rises {
			one[r.IntN(4)] |= 1 << r.IntN(64)
		}
		looks[n%few].rises, looks[few+1].rises = one, flipped(r, one, r.IntN(18))
		got, err := groups(t.Context(), looks)
		if want := eachWithEach(looks); err != nil || !slices.Equal(got, want) {
			t.Fatalf("%v, want %v; %v", got, want, err)
		}
		if got[few+1] != few+1 {
			together++
		}
	}
	if together < 50 || together > 250 {
		t.Errorf("%d of 300 pairs are alike: the test is not at the limit", together)
	}
}

func TestApart(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	for range 2000 {
		a, b, want := make([]uint8, r.IntN(400)), make([]uint8, 400), 0
		for i := range a {
			a[i], b[i] = uint8(r.Uint32()), uint8(r.Uint32())
			if r.IntN(8) == 0 {
				a[i], b[i] = uint8(r.IntN(2)*255), uint8(r.IntN(2)*255)
			}
			want += max(int(a[i]), int(b[i])) - min(int(a[i]), int(b[i]))
		}
		if got := apart(a, b, 1<<20); got != want {
			t.Fatalf("of %d values: %d, want %d", len(a), got, want)
		}
		if got := apart(a, b, want-1); got < want-1 && want > 0 {
			t.Fatalf("stopped at %d of %d", got, want)
		}
	}
}

func TestGroupsHearsTheContext(t *testing.T) {
	for name, draw := range looksOf {
		if name == "equal" || name == "even" {
			continue // nothing to search
		}
		looks := draw(rand.New(rand.NewPCG(1, 1)), 20_000)
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Millisecond, func() { cancel(nil) })
		if _, err := groups(ctx, looks); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := groups(ctx, looks); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: a search that is told to end says %v", name, err)
		}
	}
}

// go test -bench Groups -benchtime 1x ./data/folder
func BenchmarkGroups(b *testing.B) {
	for _, c := range []struct {
		name string
		n    int
	}{
		{"equal", 1_000_000}, {"random", 1_000_000}, {"random under a caption", 1_000_000}, {"chain", 100_000}, {"chain", 1_000_000},
		{"chain under a caption", 1_000_000}, {"clusters", 1_000_000}, {"one cluster", 100_000}, {"a few places", 1_000_000},
		{"drawings", 100_000}, {"greys", 100_000}, {"colours", 100_000},
	} {
		b.Run(fmt.Sprintf("%s/%d", c.name, c.n), func(b *testing.B) {
			looks := looksOf[c.name](rand.New(rand.NewPCG(9, 9)), c.n)
			for b.Loop() {
				if _, err := groups(b.Context(), looks); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
