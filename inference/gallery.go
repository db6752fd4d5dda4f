package inference

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
)

// Gallery finds the most similar of many embeddings by their cosine similarity. It holds the
// embeddings in memory, and no images. The zero value is empty and ready to use.
type Gallery struct {
	names []string
	units [][]float32
}

// Neighbour is an image of a gallery that is similar to another one.
type Neighbour struct {
	Image      string  `json:"image"`
	Index      int     `json:"-"`          // in the order of Add
	Similarity float64 `json:"similarity"` // cosine, from -1 to 1
}

// Add adds the embedding of an image. All embeddings of a gallery have the same size.
func (g *Gallery) Add(name string, embedding []float32) error {
	if err := g.fits(embedding); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	g.names, g.units = append(g.names, name), append(g.units, unit(embedding))
	return nil
}

func (g *Gallery) fits(embedding []float32) error {
	if len(g.units) > 0 && len(embedding) != len(g.units[0]) {
		return fmt.Errorf("an embedding of %d numbers in a gallery of %d; use one model and layer, and images of one size", len(embedding), len(g.units[0]))
	}
	return nil
}

// Len returns the number of images.
func (g *Gallery) Len() int { return len(g.units) }

// Nearest returns the k images that are most similar to an embedding, the most similar first. If
// k is below 1, or there are fewer, it returns all. Of equally similar images the one that was added first comes first.
func (g *Gallery) Nearest(embedding []float32, k int) ([]Neighbour, error) {
	if err := g.fits(embedding); err != nil {
		return nil, err
	}
	return g.nearest(unit(embedding), -1, k), nil
}

// Each calls each with the k images that are most similar to every image of the gallery, without
// the image itself, in the order of Add. It computes on all cores. It ends with the first error
// of each, or that of ctx.
func (g *Gallery) Each(ctx context.Context, k int, each func(name string, nearest []Neighbour) error) error {
	workers := runtime.GOMAXPROCS(0)
	found := make([][]Neighbour, 16*workers)
	for from := 0; from < len(g.units); from += len(found) {
		n := min(len(found), len(g.units)-from)
		var running sync.WaitGroup
		for w := range workers {
			running.Go(func() {
				for i := w; i < n && ctx.Err() == nil; i += workers {
					found[i] = g.nearest(g.units[from+i], from+i, k)
				}
			})
		}
		running.Wait()
		if err := ctx.Err(); err != nil {
			return err
		}
		for i, list := range found[:n] {
			if err := each(g.names[from+i], list); err != nil {
				return err
			}
		}
	}
	return nil
}

// nearest keeps the best k in order while it goes through all images but one.
func (g *Gallery) nearest(u []float32, without, k int) []Neighbour {
	if k < 1 {
		k = len(g.units)
	}
	wide := make([]float64, len(u))
	for i, v := range u {
		wide[i] = float64(v)
	}
	best := make([]Neighbour, 0, min(k, len(g.units))+1)
	for i, v := range g.units {
		if i == without {
			continue
		}
		n := Neighbour{g.names[i], i, cosine(wide, v)}
		if len(best) == k && n.Similarity <= best[k-1].Similarity {
			continue
		}
		at, _ := slices.BinarySearchFunc(best, n, func(a, b Neighbour) int {
			return cmp.Or(cmp.Compare(b.Similarity, a.Similarity), a.Index-b.Index)
		})
		if best = slices.Insert(best, at, n); len(best) > k {
			best = best[:k]
		}
	}
	return best
}

// cosine returns the product of two units in a fixed order.
func cosine(a []float64, b []float32) float64 {
	var s0, s1, s2, s3 float64
	for ; len(a) >= 4 && len(b) >= 4; a, b = a[4:], b[4:] {
		s0 += float64(a[0] * float64(b[0]))
		s1 += float64(a[1] * float64(b[1]))
		s2 += float64(a[2] * float64(b[2]))
		s3 += float64(a[3] * float64(b[3]))
	}
	for i, v := range a {
		s0 += float64(v * float64(b[i]))
	}
	return min(1, max(-1, s0+s1+(s2+s3)))
}
