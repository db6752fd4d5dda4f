package data

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func openGarments(t testing.TB, o Options) Dataset {
	t.Helper()
	ds, err := Open(context.Background(), "garments", o)
	if err != nil {
		t.Fatal(err)
	}
	return ds
}

// The images must never change: they may not depend on the processor, the Go version or the
// number of threads.
func TestGarmentsAreFixed(t *testing.T) {
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{}, "91c28f933ac546b4"},
		{Options{Split: Test}, "8d395e9e934b33a9"},
		{Options{Seed: 1<<63 + 5}, "9c525967317a598e"},
	} {
		h := sha256.New()
		c.o.Size = 300
		ds := openGarments(t, c.o)
		pix := make([]uint8, imageSize)
		for i := range 300 {
			label, err := ds.Get(i, pix)
			if err != nil || label != i%10 {
				t.Fatalf("image %d: label %d, %v", i, label, err)
			}
			h.Write(pix)
		}
		if got := fmt.Sprintf("%x", h.Sum(nil)[:8]); got != c.want {
			t.Errorf("%+v: digest of the first 300 images is %s, want %s", c.o, got, c.want)
		}
	}
}

// The test reads the source of the package. A floating-point product must be rounded by a
// conversion, or a compiler may fuse it with a sum and change the images on another
// processor. Products with powers of two are exact.
func TestNoFusedProducts(t *testing.T) {
	fset := token.NewFileSet()
	names, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	for _, n := range names {
		if strings.HasSuffix(n.Name(), ".go") && !strings.HasSuffix(n.Name(), "_test.go") {
			f, err := parser.ParseFile(fset, n.Name(), nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, f)
		}
	}
	info := types.Info{Types: map[ast.Expr]types.TypeAndValue{}}
	conf := types.Config{Importer: noImports{}, Error: func(error) {}} // other packages hold no product
	conf.Check("data", fset, files, &info)
	products := 0
	for _, f := range files {
		rounded := map[ast.Expr]bool{}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				if id, ok := n.Fun.(*ast.Ident); ok && id.Name == "float64" {
					rounded[n.Args[0]] = true
				}
			case *ast.AssignStmt:
				if n.Tok == token.MUL_ASSIGN && isFloat(info.Types[n.Lhs[0]]) {
					t.Errorf("%v: a product that is not rounded: write x = float64(x * y)", fset.Position(n.Pos()))
				}
			case *ast.BinaryExpr:
				if n.Op != token.MUL || !isFloat(info.Types[n]) || info.Types[n].Value != nil {
					break
				}
				products++
				if !rounded[n] && !powerOfTwo(info.Types[n.X]) && !powerOfTwo(info.Types[n.Y]) {
					t.Errorf("%v: a product that is not rounded: write float64(x * y)", fset.Position(n.Pos()))
				}
			}
			return true
		})
	}
	if products < 50 {
		t.Errorf("found only %d products", products)
	}
}

type noImports struct{}

func (noImports) Import(path string) (*types.Package, error) {
	return nil, fmt.Errorf("no %s here", path)
}

func isFloat(tv types.TypeAndValue) bool {
	b, ok := tv.Type.(*types.Basic)
	return ok && b.Info()&types.IsFloat != 0
}

func powerOfTwo(tv types.TypeAndValue) bool {
	if tv.Value == nil {
		return false
	}
	f, _ := constant.Float64Val(constant.ToFloat(tv.Value))
	fraction, _ := math.Frexp(f)
	return fraction == 0.5
}

func TestGarmentsDependOnSeedSplitAndIndexOnly(t *testing.T) {
	old := runtime.GOMAXPROCS(1)
	small := openGarments(t, Options{Size: 700}).(*memory)
	runtime.GOMAXPROCS(4)
	large := openGarments(t, Options{Size: 1500}).(*memory)
	runtime.GOMAXPROCS(old)
	if !bytes.Equal(small.pixels, large.pixels[:len(small.pixels)]) {
		t.Error("a larger set does not begin with the smaller one")
	}
	// This set is so large that its images are drawn at every Get.
	const hugeSize = min(1<<40, math.MaxInt)
	huge := openGarments(t, Options{Size: hugeSize})
	pix := make([]uint8, imageSize)
	for _, i := range []int{699, 3, 3, 42} {
		if label, err := huge.Get(i, pix); err != nil || label != i%10 || !bytes.Equal(pix, small.pixels[i*imageSize:(i+1)*imageSize]) {
			t.Errorf("image %d, drawn alone, differs (%v)", i, err)
		}
	}
	if label, err := huge.Get(hugeSize-1, pix); err != nil || label != (hugeSize-1)%10 {
		t.Errorf("the last image: label %d, %v", label, err)
	}
	seen := map[[32]byte]string{}
	for _, o := range []Options{{}, {Split: Test}, {Seed: 1}, {Seed: 1, Split: Test}} {
		o.Size = 500
		m := openGarments(t, o).(*memory)
		for i := range 500 {
			key := sha256.Sum256(m.pixels[i*imageSize : (i+1)*imageSize])
			if where, ok := seen[key]; ok {
				t.Errorf("image %d of %+v is also %s", i, o, where)
			}
			seen[key] = fmt.Sprintf("image %d of %+v", i, o)
		}
	}
}

func TestGarmentsOptions(t *testing.T) {
	if n, m := openGarments(t, Options{}).Len(), openGarments(t, Options{Split: Test}).Len(); n != 12000 || m != 2000 {
		t.Errorf("%d and %d images by default", n, m)
	}
	if in := openGarments(t, Options{Size: 1}).Info(); in.Name != "garments" || in.Channels != 1 || in.Height != 28 || in.Width != 28 ||
		!slices.Equal(in.Classes, fashionMNIST().classes) || in.Classes[9] != "Ankle boot" {
		t.Errorf("info %+v", in)
	}
	if _, err := Open(context.Background(), "garments", Options{Size: -1}); err == nil || !strings.Contains(err.Error(), "-1") {
		t.Errorf("size -1: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Open(ctx, "garments", Options{}); err != context.Canceled {
		t.Errorf("cancelled: %v", err)
	}
	last := int64(0)
	openGarments(t, Options{Size: 1000, Progress: func(done, total int64, what string) {
		if done <= last || done > total || total != 1000 || what == "" {
			t.Errorf("progress %d of %d of %q after %d", done, total, what, last)
		}
		last = done
	}})
	if last != 1000 {
		t.Errorf("progress ended at %d", last)
	}
	if dir, err := Fetch(context.Background(), "garments", Options{}); dir != "" || err != nil {
		t.Errorf("Fetch gives %q, %v", dir, err)
	}
	r, err := Check(context.Background(), "garments", Options{Size: 100})
	if err != nil || !r.OK || len(r.Files) != 2 || r.Files[1].Split != Test || r.Files[0].Count != 100 ||
		!slices.Equal(r.Files[0].Histogram, slices.Repeat([]int{10}, 10)) || r.Files[0].PixelMean <= 0 {
		t.Errorf("Check: %+v, %v", r, err)
	}
}

// The images have the properties of those in Fashion-MNIST: a black background, a garment of
// reasonable size, and many grey values.
func TestGarmentsResembleFashionMNIST(t *testing.T) {
	m := openGarments(t, Options{Size: 3000}).(*memory)
	for i := range 3000 {
		pix := m.pixels[i*imageSize : (i+1)*imageSize]
		cloth, values := 0, map[uint8]bool{}
		for _, v := range pix {
			values[v] = true
			if v > 0 {
				cloth++
			}
		}
		if cloth < 40 || cloth > 600 || len(values) < 12 {
			t.Errorf("image %d (%s): %d pixels of cloth, %d greys", i, m.info.Classes[i%10], cloth, len(values))
		}
	}
	if mean, std := pixelStats(m.pixels); mean < 0.1 || mean > 0.35 || std < 0.15 {
		t.Errorf("pixel mean %.3f, std %.3f", mean, std)
	}
}

// The test trains softmax regression on the pixels of the training split until it improves
// no more, and takes the best epoch. Networks with a few convolutions reach 97%.
func TestGarmentsNeedMoreThanALinearClassifier(t *testing.T) {
	if testing.Short() {
		t.Skip("-short leaves out training the linear classifier for some seconds")
	}
	train, test := openGarments(t, Options{}).(*memory), openGarments(t, Options{Split: Test}).(*memory)
	const epochs, rate = 16, 0.02
	var c softmaxRegression
	var r random
	best := 0.0
	for epoch := range epochs {
		r.reset(1, streamOrder, uint64(epoch))
		step := float32(rate * (1 - float64(epoch)/epochs))
		for _, i := range r.permutation(train.Len()) {
			c.learn(train.pixels[int(i)*imageSize:][:imageSize], int(train.labels[i]), step)
		}
		right := 0
		for i := range test.Len() {
			if c.predict(test.pixels[i*imageSize:][:imageSize]) == int(test.labels[i]) {
				right++
			}
		}
		best = max(best, float64(right)/float64(test.Len()))
	}
	t.Logf("best test accuracy %.3f", best)
	if best >= 0.85 {
		t.Errorf("a linear classifier reaches %.3f; the images are too easy", best)
	}
	if best < 0.65 {
		t.Errorf("a linear classifier reaches %.3f only: it was not trained well, or the images are hardly of ten classes", best)
	}
}

// softmaxRegression is trained one image at a time.
type softmaxRegression struct {
	weight [imageSize][10]float32
	bias   [10]float32
	on     []int // the indices of pixels that are not black
	p      [10]float32
}

func (c *softmaxRegression) predict(pix []uint8) int {
	c.on, c.p = c.on[:0], c.bias
	for j, v := range pix {
		if v == 0 {
			continue
		}
		c.on = append(c.on, j)
		for k, w := range &c.weight[j] {
			c.p[k] += float32(v) / 255 * w
		}
	}
	best := 0
	for k, s := range c.p {
		if s > c.p[best] {
			best = k
		}
	}
	return best
}

func (c *softmaxRegression) learn(pix []uint8, label int, rate float32) {
	largest, sum := c.p[c.predict(pix)], float32(0)
	for k, s := range c.p {
		c.p[k] = float32(math.Exp(float64(s - largest)))
		sum += c.p[k]
	}
	for k := range c.p {
		c.p[k] *= -rate / sum
	}
	c.p[label] += rate
	for k, g := range c.p {
		c.bias[k] += g
	}
	for _, j := range c.on {
		w, x := &c.weight[j], float32(pix[j])/255
		for k, g := range c.p {
			w[k] += x * g
		}
	}
}

func BenchmarkDrawGarment(b *testing.B) {
	g, pix, i := garments{size: math.MaxInt}, make([]uint8, imageSize), 0
	b.ReportAllocs()
	for b.Loop() {
		g.Get(i, pix)
		i++
	}
}
