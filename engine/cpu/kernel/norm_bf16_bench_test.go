package kernel

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// passes holds operands in float32 and in bfloat16 and runs the kernels on the
// block of them that begins at element o.
type passes struct {
	full   [5][]float32
	bf16   [5][]uint16
	column [4][]float32
	offs   []int // of a window of 9 pixels
}

func newPasses(size, n int) *passes {
	rng := rand.New(rand.NewPCG(1, 2))
	p := &passes{}
	for i := range p.full {
		p.full[i], p.bf16[i] = fill(rng, make([]float32, size)), make([]uint16, size)
		narrowPortable(p.bf16[i], p.full[i])
	}
	for i := range p.column {
		p.column[i] = fill(rng, make([]float32, n))
	}
	for i := range 9 {
		p.offs = append(p.offs, i*n)
	}
	return p
}

// bf16Passes are the kernels, with how many activations pass through memory.
var bf16Passes = []struct {
	name     string
	operands float64
	full     func(k *Set, p *passes, o, rows, n int)
	bf16     func(k *BF16, p *passes, o, rows, n int)
}{
	{"MeanM2", 1,
		func(k *Set, p *passes, o, rows, n int) {
			k.MeanM2(p.column[0], p.column[1], p.full[0][o:], rows, n, n)
		},
		func(k *BF16, p *passes, o, rows, n int) {
			k.MeanM2(p.column[0], p.column[1], p.bf16[0][o:], rows, n, n)
		}},
	{"ScaleShift", 3,
		func(k *Set, p *passes, o, rows, n int) {
			k.ScaleShift(p.full[1][o:], p.full[0][o:], p.column[0], p.column[1], p.full[2][o:], true, rows, n, n)
		},
		func(k *BF16, p *passes, o, rows, n int) {
			k.ScaleShift(p.bf16[1][o:], p.bf16[0][o:], p.column[0], p.column[1], p.bf16[2][o:], true, rows, n, n)
		}},
	{"BNReduce", 3,
		func(k *Set, p *passes, o, rows, n int) {
			k.BNReduce(p.column[0], p.column[1], p.full[0][o:], p.full[1][o:], p.full[2][o:], p.column[2], nil, rows, n, n)
		},
		func(k *BF16, p *passes, o, rows, n int) {
			k.BNReduce(p.column[0], p.column[1], p.bf16[0][o:], p.bf16[1][o:], p.bf16[2][o:], p.column[2], nil, rows, n, n)
		}},
	{"BNGrad", 5,
		func(k *Set, p *passes, o, rows, n int) {
			k.BNGrad(p.full[3][o:], p.full[4][o:], p.column[3], p.full[0][o:], p.full[1][o:], p.full[2][o:],
				p.column[0], p.column[1], p.column[2], rows, n, n)
		},
		func(k *BF16, p *passes, o, rows, n int) {
			k.BNGrad(p.bf16[3][o:], p.bf16[4][o:], p.column[3], p.bf16[0][o:], p.bf16[1][o:], p.bf16[2][o:],
				p.column[0], p.column[1], p.column[2], rows, n, n)
		}},
	{"SumRows", 1,
		func(k *Set, p *passes, o, rows, n int) { k.SumRows(p.column[0], p.full[0][o:], rows, n, n) },
		func(k *BF16, p *passes, o, rows, n int) { k.SumRows(p.column[0], p.bf16[0][o:], rows, n, n) }},
	{"MaxPool9", 2,
		func(k *Set, p *passes, o, rows, n int) { k.MaxPool(p.full[1][o:], p.full[0][o:], p.offs, (rows-8)*n) },
		func(k *BF16, p *passes, o, rows, n int) { k.MaxPool(p.bf16[1][o:], p.bf16[0][o:], p.offs, (rows-8)*n) }},
	{"MaxPoolGrad9", 4,
		func(k *Set, p *passes, o, rows, n int) {
			k.MaxPoolGrad(p.full[3][o:], p.full[1][o:], p.full[0][o:], p.full[2][o:], p.offs, (rows-8)*n)
		},
		func(k *BF16, p *passes, o, rows, n int) {
			k.MaxPoolGrad(p.full[3][o:], p.bf16[1][o:], p.bf16[0][o:], p.bf16[2][o:], p.offs, p.offs, (rows-8)*n)
		}},
}

// BenchmarkBF16Passes reports the time of passes over activations in bfloat16 as a share of
// the time in float32. Blocks have 1<<15 elements, as in the engine: one block, which stays
// in the second-level cache, and many blocks, which come from memory.
func BenchmarkBF16Passes(b *testing.B) {
	const block = 1 << 15
	for _, n := range []int{64, 512} {
		p := newPasses(1<<24, n)
		for _, at := range []struct {
			name string
			size int
		}{{"cache", block}, {"memory", 1 << 24}} {
			for _, c := range bf16Passes {
				for _, isa := range Available() {
					b.Run(fmt.Sprintf("%s/n%d/%s/%v", c.name, n, at.name, isa), func(b *testing.B) {
						set := For(isa)
						full := func() {
							for o := 0; o < at.size; o += block {
								c.full(set, p, o, block/n, n)
							}
						}
						bf16 := func() {
							for o := 0; o < at.size; o += block {
								c.bf16(&set.BF16, p, o, block/n, n)
							}
						}
						for b.Loop() {
							bf16()
						}
						perFull := fastest(full).Seconds() * 1e9 / float64(at.size)
						perBF16 := fastest(bf16).Seconds() * 1e9 / float64(at.size)
						b.ReportMetric(perBF16, "ns/element")
						b.ReportMetric(2*c.operands/perBF16, "GB/s")
						b.ReportMetric(4*c.operands/perFull, "float32-GB/s")
						b.ReportMetric(perBF16/perFull, "of-float32")
					})
				}
			}
		}
	}
}
