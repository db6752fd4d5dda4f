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

// testFingerprints holds generators of n fingerprints, one for each way in which images may be
// alike or not.
var testFingerprints = map[string]func(r *rand.Rand, n int) []fingerprint{
	"random": func(r *rand.Rand, n int) []fingerprint {
		return newFingerprints(n, func(i int, l *fingerprint) { l.rises = [4]uint64{r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64()} })
	},
	"equal": func(r *rand.Rand, n int) []fingerprint {
		return newFingerprints(n, func(i int, l *fingerprint) { l.rises[2] = 0xff10 })
	},
	"even": func(r *rand.Rand, n int) []fingerprint {
		return newFingerprints(n, func(i int, l *fingerprint) { l.ok = i%7 != 0 })
	},
	// Each fingerprint differs a little from the one before, and the last one in all bits from
	// the first.
	"chain": func(r *rand.Rand, n int) []fingerprint {
		var rises [4]uint64
		for w := range rises {
			rises[w] = r.Uint64()
		}
		return newFingerprints(n, func(i int, l *fingerprint) {
			rises = flipped(r, rises, 1+r.IntN(3))
			l.rises = rises
		})
	},
	// The same, but many have a row in common, like a caption that a camera writes into every
	// image.
	"chain under a caption": func(r *rand.Rand, n int) []fingerprint {
		rises := [4]uint64{r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64()}
		return newFingerprints(n, func(i int, l *fingerprint) {
			rises = flipped(r, rises, 3)
			rises[0] = rises[0]&^0xffff | 0x1248
			l.rises = rises
		})
	},
	"random under a caption": func(r *rand.Rand, n int) []fingerprint {
		return newFingerprints(n, func(i int, l *fingerprint) {
			l.rises = [4]uint64{r.Uint64()&^0xffff | 0x1248, r.Uint64(), r.Uint64(), r.Uint64()}
		})
	},
	// A few scenes many times, so close to the limit that only some copies are alike.
	"clusters": func(r *rand.Rand, n int) []fingerprint {
		var scenes [][4]uint64
		for range 1 + n/50 {
			scenes = append(scenes, [4]uint64{r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64()})
		}
		return newFingerprints(n, func(i int, l *fingerprint) { l.rises = flipped(r, scenes[r.IntN(len(scenes))], r.IntN(13)) })
	},
	// Copies of one scene, changed in many bits or in the few bits that there are.
	"one cluster": func(r *rand.Rand, n int) []fingerprint {
		scene := [4]uint64{r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64()}
		return newFingerprints(n, func(i int, l *fingerprint) { l.rises = flipped(r, scene, 8) })
	},
	"a few places": func(r *rand.Rand, n int) []fingerprint {
		return newFingerprints(n, func(i int, l *fingerprint) { l.rises = [4]uint64{0x00f0, r.Uint64N(1 << 18), 0x00ff00, 0} })
	},
	// Few rises, as in drawings on an even background.
	"drawings": func(r *rand.Rand, n int) []fingerprint {
		return newFingerprints(n, func(i int, l *fingerprint) {
			for range 1 + r.IntN(30) {
				row, x := r.IntN(side), 6+r.IntN(5)
				l.rises[row/4] |= 1 << (row%4*side + x)
			}
		})
	},
	// One outline in many colours: grey values, and all colours.
	"greys": func(r *rand.Rand, n int) []fingerprint {
		return newFingerprints(n, func(i int, l *fingerprint) {
			l.rises = [4]uint64{0xf0f0, 1 << r.IntN(8), 0, 0xff}
			l.colours.Pix = slices.Repeat([]uint8{uint8(r.IntN(256))}, 3*side*side)
		})
	},
	"colours": func(r *rand.Rand, n int) []fingerprint {
		return newFingerprints(n, func(i int, l *fingerprint) {
			l.rises = [4]uint64{0xf0f0, 0, 0, 0xff}
			l.colours.Pix = nil
			for range 3 * 4 {
				l.colours.Pix = append(l.colours.Pix, slices.Repeat([]uint8{uint8(r.IntN(256))}, side*side/4)...)
			}
		})
	},
}

var plainColours = make([]uint8, 3*side*side)

// newFingerprints returns fingerprints of one colour that draw may change.
func newFingerprints(n int, draw func(i int, l *fingerprint)) []fingerprint {
	all := make([]fingerprint, n)
	for i := range all {
		all[i].ok = true
		all[i].colours = transforms.Image{Channels: 3, Height: side, Width: side, Pix: plainColours}
		draw(i, &all[i])
	}
	return all
}

// flipped flips up to n bits.
func flipped(r *rand.Rand, rises [4]uint64, n int) [4]uint64 {
	for range n {
		rises[r.IntN(4)] ^= 1 << r.IntN(64)
	}
	return rises
}

// compareAllPairs is a reference for groups that compares all pairs.
func compareAllPairs(fingerprints []fingerprint) []int {
	group := make([]int, len(fingerprints))
	for i := range fingerprints {
		group[i] = i
		for j := range i {
			if group[i] != group[j] && fingerprints[i].ok && fingerprints[j].ok && fingerprints[i].alike(&fingerprints[j]) {
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

func TestGroupsMatchComparingAllPairs(t *testing.T) {
	for name, draw := range testFingerprints {
		t.Run(name, func(t *testing.T) {
			for seed, n := range []int{0, 1, 2, 40, smallGroup, smallGroup + 1, 700, 1500} {
				fingerprints := draw(rand.New(rand.NewPCG(uint64(seed), 7)), n)
				got, err := groups(t.Context(), fingerprints)
				if err != nil {
					t.Fatal(err)
				}
				want := compareAllPairs(fingerprints)
				if !slices.Equal(got, want) {
					i := 0
					for got[i] == want[i] {
						i++
					}
					t.Fatalf("of %d fingerprints, number %d is in group %d, want %d", n, i, got[i], want[i])
				}
			}
		})
	}
}

// Pairs at the limit of being alike are found whatever other images there are.
func TestGroupsAtTheLimit(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	alike := 0
	for n := range 300 {
		fingerprints := testFingerprints["random"](r, smallGroup+2)
		rises := r.IntN(120)
		var one [4]uint64
		for range rises {
			one[r.IntN(4)] |= 1 << r.IntN(64)
		}
		fingerprints[n%smallGroup].rises, fingerprints[smallGroup+1].rises = one, flipped(r, one, r.IntN(18))
		got, err := groups(t.Context(), fingerprints)
		if want := compareAllPairs(fingerprints); err != nil || !slices.Equal(got, want) {
			t.Fatalf("%v, want %v; %v", got, want, err)
		}
		if got[smallGroup+1] != smallGroup+1 {
			alike++
		}
	}
	if alike < 50 || alike > 250 {
		t.Errorf("%d of 300 pairs are alike: the test is not at the limit", alike)
	}
}

func TestDistance(t *testing.T) {
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
		if got := distance(a, b, 1<<20); got != want {
			t.Fatalf("of %d values: %d, want %d", len(a), got, want)
		}
		if got := distance(a, b, want-1); got < want-1 && want > 0 {
			t.Fatalf("stopped at %d of %d", got, want)
		}
	}
}

func TestGroupsStopsWithItsContext(t *testing.T) {
	for name, draw := range testFingerprints {
		if name == "equal" || name == "even" {
			continue // nothing to search
		}
		fingerprints := draw(rand.New(rand.NewPCG(1, 1)), 20_000)
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Millisecond, func() { cancel(nil) })
		if _, err := groups(ctx, fingerprints); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := groups(ctx, fingerprints); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: a cancelled search returns %v", name, err)
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
			fingerprints := testFingerprints[c.name](rand.New(rand.NewPCG(9, 9)), c.n)
			for b.Loop() {
				if _, err := groups(b.Context(), fingerprints); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
