package main

import (
	"bytes"
	"context"
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
	s, err := parse(append([]string{"-all", "-threads", "2", "-photos", "1", "-out", out, "-peers", os.Args[0], "-onnxruntime", os.Args[0], "-residual", os.Args[0]}, args...), &bytes.Buffer{})
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
		{"load-resnet50", "fp32", 0.15}, {"onnx-64", "fp32", 1.5}, {"onnx-1", "fp32", 1.5}, {"loader", "auto", 0.9},
	} {
		r := book.find(t, c.row)
		if got := r.Rivals[0].Contender.setting(); got != c.setting || r.Ratio.Median != c.ratio {
			t.Errorf("%s: %v beside %s, want %v beside %s", c.row, r.Ratio.Median, got, c.ratio, c.setting)
		}
		if len(r.Ours.Turns) != 2 || len(r.Rivals[0].Turns) != 2 {
			t.Errorf("%s: %d and %d turns, want 2", c.row, len(r.Ours.Turns), len(r.Rivals[0].Turns))
		}
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
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
	if !strings.Contains(log, "row 1 of 17: training, batch 64, against PyTorch 9.9; about") {
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
	if err != nil || !strings.Contains(log, "1 rows to measure, 2 already in") || strings.Contains(log, "row 2") {
		t.Fatalf("%v; want the two finished rows kept:\n%s", err, log)
	}
	if _, log, err = tabled(t, "all", out, "-rounds", "1", "-rows", "infer-64"); err != nil || !strings.Contains(log, "0 rows to measure, 1 already in") {
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
	for _, r := range []record{{Row: "onnx-1", Peer: "o"}, {Row: "memory-256", Peer: "p"}, {Row: "train-64", Peer: "p"}, {Row: "train-256", Peer: "p"}, {Row: "train-64", Peer: "q"}} {
		r.Machine, r.Title, r.Rivals = l.Machines[0].key(), "work "+r.Row, make([]side, 1)
		l.Records = append(l.Records, r)
	}
	text, at := l.document(), 0
	for _, want := range []string{"work train-64 | p", "work train-64 | q", "work train-256", "work memory-256", "work onnx-1"} {
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
