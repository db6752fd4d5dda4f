package main

import (
	"bytes"
	"context"
	"flag"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// tabled measures the table of the stand-ins into out.
func tabled(t *testing.T, kind, out string, args ...string) (book *ledger, log string, err error) {
	t.Helper()
	t.Setenv("BENCH_STAND_IN", kind)
	s, err := parse(append([]string{"-all", "-threads", "2", "-photos", "1", "-out", out, "-peers", os.Args[0], "-onnxruntime", os.Args[0], "-openvino", os.Args[0], "-residual", os.Args[0]}, args...), &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	var lines strings.Builder
	m := &machine{settings: s, scripts: ".", program: os.Args[0], log: &lines}
	err = m.table(context.Background())
	book, openErr := openLedger(s.state)
	if openErr != nil {
		t.Fatal(openErr)
	}
	return book, lines.String(), err
}

func (l *ledger) find(t *testing.T, row string) record {
	t.Helper()
	i := slices.IndexFunc(l.Records, func(r record) bool { return r.Row == row })
	if i < 0 {
		t.Fatalf("no record of %s", row)
	}
	return l.Records[i]
}

func TestTable(t *testing.T) {
	out := filepath.Join(t.TempDir(), "b.md")
	book, log, err := tabled(t, "all", out, "-rounds", "2")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		row, setting string
		ratio        float64
	}{
		{"train-64", "bf16 channels last", 1.2}, {"train-256", "bf16 channels last", 1.2}, {"memory-256", "bf16 channels last", 0.25},
		{"train-64-fp32", "fp32 channels last", 1.5}, {"infer-64", "fp32 frozen", 0.75}, {"epoch", "bf16 channels last", 2.5},
		{"load-resnet50", "fp32", 0.15}, {"loader", "auto", 0.9},
	} {
		r := book.find(t, c.row)
		if got := r.Rivals[0].Contender.setting(); got != c.setting || r.Ratio.Median != c.ratio {
			t.Errorf("%s: %v beside %s, want %v beside %s", c.row, r.Ratio.Median, got, c.ratio, c.setting)
		}
		if len(r.Ours.Turns) != 2 || len(r.Rivals[0].Turns) != 2 {
			t.Errorf("%s: %d and %d turns, want 2", c.row, len(r.Ours.Turns), len(r.Rivals[0].Turns))
		}
	}
	for _, c := range []struct {
		row, peer, setting string
		ratio              float64
	}{
		{"infer-64", "OpenVINO 9.9", "fp32 in 2 parts at once", 1.25}, {"infer-1", "OpenVINO 9.9", "fp32", 30.0 / 22}, {"infer-64-fp32", "ONNX Runtime 9.9", "fp32", 1.5},
		{"infer-1-fp32", "ONNX Runtime 9.9", "fp32", 1.5}, {"int8-64", "OpenVINO 9.9", "int8 QDQ in 2 parts at once", 1.25},
		{"int8-1", "OpenVINO 9.9", "int8 QDQ", 30.0 / 22}, {"int8-resnet50", "ONNX Runtime 9.9", "int8 QOperator", 1.2}, {"int8-resnet50-1", "ONNX Runtime 9.9", "int8 QOperator", 1.2},
	} {
		i := slices.IndexFunc(book.Records, func(r record) bool { return r.Row == c.row && r.Peer == c.peer })
		if i < 0 {
			t.Fatalf("no record of %s against %s", c.row, c.peer)
		}
		r := book.Records[i]
		if got := r.Rivals[0].Contender.setting(); got != c.setting || math.Abs(r.Ratio.Median-c.ratio) > 1e-9 {
			t.Errorf("%s: %v beside %s, want %v beside %s", c.row, r.Ratio.Median, got, c.ratio, c.setting)
		}
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| inference, batch 64 | 30.0 images/s | 40.0 images/s | **0.75** | 0.75 to 0.75 | auto: bf16, abacus | PyTorch 9.9, fp32 frozen |",
		"| inference of resnet50 in int8, batch 16 of 3x224x224 | 30.0 images/s | 25.0 images/s | **1.20** | 1.20 to 1.20 | int8, abacus | ONNX Runtime 9.9, int8 QOperator |",
		"python3 bench/onnx_quantize.py resnet50-224-qdq.onnx --model resnet50 --size 224 --form qdq\npython3 bench/openvino_resnet.py --size 224 --file resnet50-224-qdq.onnx --batch 1 ",
		"python3 bench/openvino_resnet.py --size 96 --precision bf16 --streams 2 --split --batch 64",
		"## Z80, abacus, 2 threads", "features: LDIR.", "Residual v9, built with go1.99",
		"| training, batch 64 | PyTorch 9.9 | 30.0 images/s | 25.0 images/s | **1.20** | 1.20 to 1.20 | auto: bf16, abacus | bf16 channels last | 2 |",
		"| peak memory of training, batch 256 | PyTorch 9.9 | 100 B | 400 B | **0.25** |",
		"6,000 training and 1,000 test images of Fashion-MNIST, evaluation included | PyTorch 9.9 | 2.00 s | 5.00 s | **2.50** |",
		"load_state_dict: share of the time | PyTorch 9.9 | 45.0 ms to begin | 300.0 ms to begin | **0.15** | 0.15 to 0.15 | fp32 | fp32 | 2 |",
		"the whole command from start to end: share of the time | PyTorch 9.9 |", "residual predict model.safetensors photo.jpg --json", "python3 bench/torch_load.py resnet50.pth --threads 2",
		"| inference, batch 1, latency | ONNX Runtime 9.9 | 33.3 ms | 50.0 ms | **1.50** |",
		"| train, batch 64 | PyTorch 9.9 | fp32 compiled | PyTorch 9.9 has no torch.compile |",
		"| training fed by the loader, batch 64 (fashion-mnist) | 27.0 images/s | 30.0 images/s | **0.90** |", "5,000 images/s",
		"python3 bench/torch_resnet.py --mode train", "residual train --json", "training of resnet50, batch 16 of 3x224x224", "--model cifar-resnet56",
	} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("the document does not say %q:\n%s", want, text)
		}
	}
	for _, never := range []string{os.Args[0], os.TempDir(), "/here"} {
		if bytes.Contains(text, []byte(never)) {
			t.Errorf("the document names %s, which is of this machine", never)
		}
	}
	if !strings.Contains(log, "row 1 of 41: training, batch 64, against PyTorch 9.9; about") {
		t.Errorf("no progress was shown:\n%s", log)
	}
}

// A GPU has rows of its own beside those of the CPU, with PyTorch's settings for GPUs.
func TestTableOfGPU(t *testing.T) {
	out := filepath.Join(t.TempDir(), "b.md")
	book, log, err := tabled(t, "all", out, "-rounds", "2", "-device", "cuda", "-torch", "eager,captured,weights-captured,reduce-overhead", "-revision", "abc")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		row, setting string
		ratio        float64
	}{{"gpu-train-256", "bf16 channels last", 27.0 / 25}, {"gpu-infer-256", "bf16-weights channels last captured", 27.0 / 36}, {"gpu-recipe", "bf16 channels last", 25}} {
		r := book.find(t, c.row)
		if got := r.Rivals[0].Contender.setting(); got != c.setting || r.Ratio.Median != c.ratio {
			t.Errorf("%s: %v beside %s, want %v beside %s", c.row, r.Ratio.Median, got, c.ratio, c.setting)
		}
		for _, s := range append(r.Rivals, r.Ours) {
			if !strings.Contains(s.Command, "--device cuda") {
				t.Errorf("%s: %s", c.row, s.Command)
			}
		}
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"## CUDA 99.0 driver; cuda:0: Voodoo2, beside Z80, abacus, 2 threads", "Residual abc, built",
		"bf16 compiled for reduce-overhead | PyTorch 9.9 has no torch.compile",
		"--feed none --device cuda", "bench/torch_resnet.py --mode infer --size 96 --precision bf16-weights --layout channels_last",
		"60,000 training and 10,000 test images of Fashion-MNIST, evaluation included | PyTorch 9.9 | 2.00 s | 50.0 s",
	} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("the document does not say %q:\n%s", want, text)
		}
	}
	if !strings.Contains(log, "row 1 of 3: training on a GPU, batch 256, against PyTorch 9.9; about") {
		t.Errorf("no progress was shown:\n%s", log)
	}
	if _, err := parse([]string{"-device", "cuda"}, &bytes.Buffer{}); err == nil {
		t.Error("-device cuda without -all was taken")
	}
}

func TestTableContinues(t *testing.T) {
	out := filepath.Join(t.TempDir(), "b.md")
	_, _, err := tabled(t, "no inference", out, "-rounds", "1", "-rows", "train-64,train-64-fp32,infer-64")
	if err == nil || !strings.Contains(err.Error(), "no such thing") {
		t.Fatalf("%v, want the failure of inference", err)
	}
	if text, err := os.ReadFile(out); err != nil || !bytes.Contains(text, []byte("training in fp32")) {
		t.Errorf("the finished row was not written: %v\n%s", err, text)
	}
	book, log, err := tabled(t, "all", out, "-rounds", "1", "-rows", "train-64,train-64-fp32,infer-64")
	if err != nil || !strings.Contains(log, "3 rows to measure, 2 already in") || strings.Contains(log, "row 4") {
		t.Fatalf("%v; want the two finished rows kept:\n%s", err, log)
	}
	if _, log, err = tabled(t, "all", out, "-rounds", "1", "-rows", "infer-64"); err != nil || !strings.Contains(log, "0 rows to measure, 3 already in") {
		t.Errorf("%v; want nothing measured:\n%s", err, log)
	}
	if _, log, err = tabled(t, "all", out, "-rounds", "2", "-rows", "train-64-fp32"); err != nil || !strings.Contains(log, "1 rows to measure, 0 already in") {
		t.Errorf("%v; want all rounds measured again:\n%s", err, log)
	}

	// Rows of another build are measured again; the trials of PyTorch's settings stay valid.
	for i := range book.Records {
		book.Records[i].Build = "older"
	}
	if err := book.save(); err != nil {
		t.Fatal(err)
	}
	again, log, err := tabled(t, "all", out, "-rounds", "1", "-rows", "train-64-fp32")
	if err != nil || strings.Contains(log, "compiled") || again.find(t, "train-64-fp32").Build == "older" {
		t.Errorf("%v; want the row measured again with the settings known:\n%s", err, log)
	}
}

// A setting that fails is reported and left out; when all fail there is no row.
func TestNoSettingWorks(t *testing.T) {
	_, _, err := tabled(t, "broken", filepath.Join(t.TempDir(), "b.md"), "-rows", "train-64")
	if err == nil || !strings.Contains(err.Error(), "no setting works") || !strings.Contains(err.Error(), "bf16 contiguous: no such thing") {
		t.Errorf("%v, want every setting's reason", err)
	}
}

func TestInterruptedTableSaysSo(t *testing.T) {
	t.Setenv("BENCH_STAND_IN", "all")
	ctx, stop := context.WithCancel(context.Background())
	stop()
	m := &machine{settings: settings{rounds: 1, repeat: 1, threads: 2}, program: os.Args[0], log: &strings.Builder{}}
	s := &sitting{machine: m, peers: []peer{{program: onnx}}, book: &ledger{path: filepath.Join(t.TempDir(), "b.json")}}
	if err := s.run(ctx); err == nil || !strings.Contains(err.Error(), "the same command goes on") {
		t.Errorf("%v, want what to do next", err)
	}
}

func TestDamagedStateIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b.json")
	if err := os.WriteFile(path, []byte("{"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := openLedger(path); err == nil || !strings.Contains(err.Error(), "-state "+path) {
		t.Errorf("%v, want the file and the flag named", err)
	}
}

// In whatever order rows are measured, the document has them in the order of the table,
// with the peers of a row together.
func TestRowsKeepTheOrderOfTheTable(t *testing.T) {
	l := &ledger{Machines: []facts{{CPU: "Z80"}}}
	for _, r := range []record{{Row: "infer-1", Peer: "o"}, {Row: "memory-256", Peer: "p"}, {Row: "train-64", Peer: "p"}, {Row: "train-256", Peer: "p"}, {Row: "train-64", Peer: "q"}} {
		r.Machine, r.Title, r.Rivals = l.Machines[0].key(), "work "+r.Row, make([]side, 1)
		l.Records = append(l.Records, r)
	}
	text, at := l.document(), 0
	for _, want := range []string{"work train-64 | p", "work train-64 | q", "work train-256", "work memory-256", "work infer-1"} {
		i := strings.Index(text[at:], want)
		if i < 0 {
			t.Fatalf("%q is not there, or not in its place:\n%s", want, text)
		}
		at += i
	}
}

// The highest speed is the best, and the shortest time.
func TestFastest(t *testing.T) {
	both := make([]contender, 3)
	turns := [][]turn{{{ImagesPerSecond: 9, Seconds: 1}}, {{ImagesPerSecond: 1, Seconds: 2}}, {{ImagesPerSecond: 2, Seconds: 4}}}
	for u, want := range map[unit]int{perSecond: 2, millis: 2, seconds: 1} {
		if got := fastest(both, turns, u, job{Batch: 1}); got != want {
			t.Errorf("%s: rival %d, want %d", u, got, want)
		}
	}
}

func TestPaceLearns(t *testing.T) {
	p := pace{planned: 100 * time.Minute}
	if got := p.left(); got != 100*time.Minute {
		t.Errorf("%v left before the start, want what was planned", got)
	}
	p.done, p.spent = 50*time.Minute, 100*time.Minute
	if got := p.left(); got != 100*time.Minute {
		t.Errorf("%v left, want twice the plan of the other half", got)
	}
}

// A setting that is much slower than an earlier one is given up; compiling gets more time.
func TestPatience(t *testing.T) {
	plain, compiled := contender{Program: torch}, contender{Program: torch, Compile: true}
	for _, c := range []struct {
		contender
		best, want time.Duration
	}{
		{plain, 0, longestTrial},
		{plain, 10 * time.Second, 30 * time.Second},
		{compiled, 10 * time.Second, 30*time.Second + longestCompiling},
		{plain, time.Millisecond, minTrial},
		{plain, time.Hour, longestTrial},
		{compiled, time.Hour, longestTrial},
	} {
		if got := patience(c.contender, c.best); got != c.want {
			t.Errorf("compiled %v, the fastest took %v: %v, want %v", c.Compile, c.best, got, c.want)
		}
	}
}

// Processors with the same name and different instructions are different machines.
func TestMachinesDifferByTheirInstructions(t *testing.T) {
	a, b := facts{CPU: "Z80", Threads: 2, Kernels: "abacus"}, facts{CPU: "Z80", Threads: 2, Kernels: "fingers"}
	if a.key() == b.key() {
		t.Errorf("both are %q", a.key())
	}
}

// A build without int8 leaves the rows in int8 out and says why; so does a machine that
// cannot quantise networks.
func TestRowsInInt8NeedIt(t *testing.T) {
	out := filepath.Join(t.TempDir(), "b.md")
	book, log, err := tabled(t, "no int8", out, "-rounds", "1", "-rows", "infer-1,int8-1,int8-64")
	if err != nil || !strings.Contains(log, "this build of Residual has no int8 (no such precision), the rows in int8 are left out") || len(book.Records) != 2 {
		t.Errorf("%v, %d records; want two rows against infer-1 alone:\n%s", err, len(book.Records), log)
	}
	var lines strings.Builder
	m := &machine{settings: settings{repeat: 1, threads: 2}, log: &lines}
	skip := m.withoutInt8(t.Context(), []peer{{program: openvino}})
	if !slices.Contains(skip, "int8-64") || slices.Contains(skip, "infer-64") || !strings.Contains(lines.String(), "ONNX Runtime quantises") {
		t.Errorf("%q are left out: %s", skip, lines.String())
	}
}

// Of several peers the fastest counts: against it Residual's speed has the smallest ratio,
// and its memory the largest. A record of an earlier build counts where it is the only one.
func TestBestRows(t *testing.T) {
	now := facts{Build: "now"}
	one := func(row, peer, build string, u unit, ratio float64) record {
		return record{Row: row, Peer: peer, Build: build, Unit: u, Ratio: spread{Median: ratio}}
	}
	best := bestRows([]record{
		one("train", "a", "now", perSecond, 2), one("train", "b", "now", perSecond, 1.5), one("train", "c", "before", perSecond, 1),
		one("memory", "a", "now", memory, 0.3), one("memory", "b", "now", memory, 0.4), one("epoch", "a", "before", seconds, 3), one("infer", "a", "before", millis, 1), one("infer", "b", "now", millis, 3),
	}, now)
	var got []string
	for _, r := range best {
		got = append(got, r.Row+" "+r.Peer)
	}
	if want := []string{"train b", "memory b", "epoch a", "infer b"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

var update = flag.Bool("update", false, "write docs/benchmarks.md from docs/benchmarks.json")

// docs/benchmarks.md is what this program makes of docs/benchmarks.json.
func TestDocumentIsWrittenFromTheState(t *testing.T) {
	const state, page = "../docs/benchmarks.json", "../docs/benchmarks.md"
	book, err := openLedger(state)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(page, []byte(book.document()), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := os.ReadFile(page); err != nil || string(text) != book.document() {
		t.Errorf("%s is not written from %s (%v): go test ./bench -run TestDocumentIsWrittenFromTheState -update", page, state, err)
	}
}
