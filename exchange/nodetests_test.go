package exchange

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/onnx"
)

// nodeTest is a graph on one image with its expected output, as node_tests.py writes it.
type nodeTest struct {
	Model          string // base64; empty if it is in a file of its own
	Shape          []int
	Images, Output realNumbers
	RTol, ATol     float64 // tolerances of the test; some of the numbers are written with four digits
}

// realNumbers are floats whose JSON has strings for numbers that are not finite.
type realNumbers []float32

func (n *realNumbers) UnmarshalJSON(b []byte) error {
	var list []any
	if err := json.Unmarshal(b, &list); err != nil {
		return err
	}
	for _, v := range list {
		switch v := v.(type) {
		case float64:
			*n = append(*n, float32(v))
		case string:
			f, err := strconv.ParseFloat(v, 32)
			if err != nil {
				return err
			}
			*n = append(*n, float32(f))
		}
	}
	return nil
}

// outcome runs a node test. refused is the error of importing it; right reports whether the output is correct.
func (c nodeTest) outcome(t *testing.T, dev engine.Device, m *onnx.Model) (refused error, right bool) {
	t.Helper()
	net, err := Import(m)
	if err != nil {
		return err, false
	}
	net.Probabilities = true
	x := tensor.FromSlice(c.Images, c.Shape...)
	if net.Input.ChannelsLast {
		x = channelsFirst(x)
	}
	y, err := engine.Call(dev, graph.Eval, net.Forward, x)
	if err != nil {
		return err, false
	}
	if len(y.Data()) != len(c.Output) {
		return nil, false
	}
	most := 0.0
	for _, w := range c.Output {
		if w := math.Abs(float64(w)); !math.IsInf(w, 0) {
			most = max(most, w)
		}
	}
	for i, w := range c.Output {
		v := y.Data()[i]
		if v != w && !(v != v && w != w) && !(math.Abs(float64(v-w)) <= max(1e-5*max(most, 1), c.ATol+c.RTol*math.Abs(float64(w)))) {
			return nil, false
		}
	}
	return nil, true
}

// inBF16 computes in bfloat16 and returns the largest error of the output, relative to its
// largest number.
func (c nodeTest) inBF16(t *testing.T, dev engine.Device, net *Network) (off float64) {
	t.Helper()
	x := tensor.FromSlice(c.Images, c.Shape...)
	if net.Input.ChannelsLast {
		x = channelsFirst(x)
	}
	net.Probabilities = true
	g := graph.New(graph.Eval)
	in := g.Input("x", tensor.Float32, x.Shape()...)
	out := net.Forward(in)
	p, err := engine.Compile(g, engine.NewStore(dev), engine.Spec{Outputs: []*graph.Node{out}, Precision: engine.BF16})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Feed(in, x); err != nil {
		t.Fatal(err)
	}
	p.Run(0)
	y := tensor.New(out.Shape...)
	p.Read(out, y)
	most := 0.0
	for i, w := range c.Output {
		most, off = max(most, math.Abs(float64(w))), max(off, math.Abs(float64(y.Data()[i]-w)))
	}
	return off / most
}

func channelsFirst(x *tensor.Tensor) *tensor.Tensor {
	s := x.Shape()
	y := tensor.New(s[0], s[3], s[1], s[2])
	for i, v := range x.Data() {
		c, w, h, n := i%s[3], i/s[3]%s[2], i/s[3]/s[2]%s[1], i/s[3]/s[2]/s[1]
		y.Set(v, n, c, h, w)
	}
	return y
}

// The node tests of the onnx package that work on one image and are stored here are computed
// correctly. If RESIDUAL_NODE_TESTS names a folder with all of them, which
// testdata/node_tests.py writes, each must be computed correctly or refused with the name of
// a node.
func TestNodeTests(t *testing.T) {
	dev, err := cpu.New(cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	if folder := os.Getenv("RESIDUAL_NODE_TESTS"); folder != "" {
		allNodeTests(t, dev, folder)
		return
	}
	for name, c := range graphsOf(t, "node_tests") {
		if refused, right := c.outcome(t, dev, c.model(t, name)); refused != nil || !right {
			t.Errorf("%s: refused: %v, right: %v", name, refused, right)
		}
	}
}

// graphsOf reads a file of node tests.
func graphsOf(t testing.TB, name string) (all map[string]nodeTest) {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func (c nodeTest) bytes(t testing.TB) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(c.Model)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (c nodeTest) model(t testing.TB, name string) *onnx.Model {
	t.Helper()
	m, err := onnx.Read(c.bytes(t), name)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Graphs in the style of TensorFlow, Keras, Caffe and others give ONNX Runtime's outputs, for
// one image and for a batch.
func TestForeignGraphs(t *testing.T) {
	dev, err := cpu.New(cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	for name, c := range graphsOf(t, "foreign_graphs") {
		m := c.model(t, name)
		if refused, right := c.outcome(t, dev, m); refused != nil || !right {
			t.Errorf("%s: refused: %v, right: %v", name, refused, right)
			continue
		}
		net, err := Import(m)
		if err != nil {
			t.Fatal(err)
		}
		if ends := name == "tensorflow" || name == "keras"; net.Softmax != ends || net.Input.ChannelsLast != ends {
			t.Errorf("%s: a softmax at the end: %v, channels last: %v", name, net.Softmax, net.Input.ChannelsLast)
		}
		if off := c.inBF16(t, dev, net); !(off <= 0.05) {
			t.Errorf("%s in bfloat16: differs by %g of the largest number", name, off)
		}
		// A batch of the first image twice gives its row twice, whatever the batch size of the file.
		size := tensor.Shape(c.Shape[1:]).Numel()
		c.Shape = append([]int{2}, c.Shape[1:]...)
		c.Images = append(c.Images[:size:size], c.Images[:size]...)
		c.Output = append(c.Output[:net.Classes:net.Classes], c.Output[:net.Classes]...)
		if refused, right := c.outcome(t, dev, m); refused != nil || !right {
			t.Errorf("%s of two: refused: %v, right: %v", name, refused, right)
		}
	}
}

func allNodeTests(t *testing.T, dev engine.Device, folder string) {
	files, err := filepath.Glob(filepath.Join(folder, "*.onnx"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s holds no tests: %v", folder, err)
	}
	var rightly, unknown, other []string
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".onnx")
		b, err := os.ReadFile(strings.TrimSuffix(file, ".onnx") + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var c nodeTest
		if err := json.Unmarshal(b, &c); err != nil {
			t.Fatal(err)
		}
		m, err := onnx.Open(file)
		if err != nil {
			other = append(other, name+": "+err.Error())
			continue
		}
		refused, right := c.outcome(t, dev, m)
		switch {
		case refused != nil && strings.Contains(refused.Error(), "the operation is not supported"):
			unknown = append(unknown, name)
		case refused != nil:
			other = append(other, name+": "+refused.Error())
		case right:
			rightly = append(rightly, name)
		default:
			t.Errorf("%s is computed wrongly", name)
		}
	}
	slices.Sort(other)
	t.Logf("%d of %d run rightly; %d have an operation that is not known; %d are refused otherwise:\n%s\nnot known: %s",
		len(rightly), len(files), len(unknown), len(other), strings.Join(other, "\n"), strings.Join(unknown, " "))
	if out := os.Getenv("RESIDUAL_NODE_TESTS_RIGHT"); out != "" {
		if err := os.WriteFile(out, []byte(strings.Join(rightly, "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
