package exchange

import (
	"runtime"
	"testing"

	"github.com/residual-ml/residual/tensor"
)

// A small file cannot make the reader use much memory: it is refused, or needs no more than an
// honest network.
func TestSmallFilesUseLittleMemory(t *testing.T) {
	repeated := func(c *chain, times int, op string, a attrs, in ...string) *chain {
		for range times {
			c.then(op, a, in...)
		}
		return c.then("GlobalAveragePool", nil).then("Flatten", nil)
	}
	for what, c := range map[string]*chain{
		"Tile":      repeated(newChain().with("t", ints(1, 1, 2, 2)), 4000, "Tile", nil, "t"),
		"Expand":    repeated(newChain().with("s", ints(1, 1<<24, 1, 1)).then("GlobalAveragePool", nil), 10, "Expand", nil, "s"),
		"Pad":       repeated(newChain().with("p", ints(0, 0, 1<<14, 1<<14, 0, 0, 1<<14, 1<<14)), 4000, "Pad", nil, "p"),
		"Resize":    repeated(newChain().with("s", ints(1, 3, 1<<14, 1<<14)), 4000, "Resize", attrs{"mode": "cubic"}, "", "", "s"),
		"Add":       repeated(newChain().with("c", floats(64, 1, 8, 8)), 4000, "Add", nil, "c"),
		"shuffling": repeated(newChain().with("i", ints(7, 6, 5, 4, 3, 2, 1, 0)), 4000, "Gather", attrs{"axis": int64(2)}, "i"),
		"MatMul":    repeated(newChain().with("w", floats(8, 8)), 4000, "MatMul", nil, "w"),
		"Shape":     newChain().with("big", ints(1<<21)).then("Shape", nil).free("ConstantOfShape", "big").free("Expand", "ConstantOfShape'", "Shape"),
		"constants": newChain().with("s", ints(1<<13, 1<<14)).free("ConstantOfShape", "s").free("Exp", "ConstantOfShape").free("Exp", "Exp'"),
		"Transpose": repeated(newChain(), 4000, "Transpose", attrs{"perm": []int64{0, 3, 2, 1}}),
	} {
		runtime.GC()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := Import(c.model())
		runtime.ReadMemStats(&after)
		const most = 1 << 30
		if took := after.TotalAlloc - before.TotalAlloc; took > most {
			t.Errorf("%s: takes %d MB, of at most %d (%v)", what, took>>20, most>>20, err)
		}
	}
	if _, err := Import(newChain().with("s", tensor.FromInts([]int64{1 << 40}, 1)).free("ConstantOfShape", "s").model()); err == nil {
		t.Error("a constant of 2^40 numbers is made")
	}
}
