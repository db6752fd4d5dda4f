//go:build !noasm

package kernel

// blocksOf returns where the blocks of Combine begin.
func blocksOf(src []uint16, offs []int) (blocks [CombineTerms]*uint16) {
	for k, o := range offs {
		blocks[k] = &src[o]
	}
	return blocks
}

func combineAVX512(dst []float32, dld int, src []uint16, sld int, offs []int, factors []float32, rows, n int) {
	blocks := blocksOf(src, offs)
	switch len(offs) {
	case 1:
		combine1AVX512(&dst[0], &blocks[0], &factors[0], dld, sld, rows, n)
	case 2:
		combine2AVX512(&dst[0], &blocks[0], &factors[0], dld, sld, rows, n)
	case 3:
		combine3AVX512(&dst[0], &blocks[0], &factors[0], dld, sld, rows, n)
	default:
		combine4AVX512(&dst[0], &blocks[0], &factors[0], dld, sld, rows, n)
	}
}

func combineAVX2(dst []float32, dld int, src []uint16, sld int, offs []int, factors []float32, rows, n int) {
	blocks := blocksOf(src, offs)
	switch len(offs) {
	case 1:
		combine1AVX2(&dst[0], &blocks[0], &factors[0], dld, sld, rows, n)
	case 2:
		combine2AVX2(&dst[0], &blocks[0], &factors[0], dld, sld, rows, n)
	case 3:
		combine3AVX2(&dst[0], &blocks[0], &factors[0], dld, sld, rows, n)
	default:
		combine4AVX2(&dst[0], &blocks[0], &factors[0], dld, sld, rows, n)
	}
}
