// Command bench runs Residual and PyTorch alternately on one machine and prints how they
// compare: images per second in training and in inference, and the peak memory of a
// training step of the notes' recipe.
//
//	go run ./bench
//	PYTHON=/opt/torch/bin/python go run ./bench -rounds 7 -json
//
// With -all it measures the whole table, against several peers in their best settings, and
// writes docs/benchmarks.md; with -run and -recipe it adds the results of trainings there.
//
//	go run ./bench -all -peers python3,/opt/torch/bin/python
//	go run ./bench -run runs/train-7
//	go run ./bench -all -device cuda
//
// The programs take turns, and each round gives a ratio of its own, so that a machine that
// slows down or is shared slows both. README.md in this folder says what is measured and
// how PyTorch is set up.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"

	photos "github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/internal/number"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run parses the command line, measures, and prints the comparison.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	s, err := parse(args, stderr)
	if err != nil {
		return err
	}
	if s.run != "" || s.recipe != "" {
		return s.record(stderr)
	}
	folder, err := scripts()
	if err != nil {
		return err
	}
	python := ""
	if !s.all {
		if python, err = findPython(ctx); err != nil {
			return err
		}
	}
	program := s.residual
	if program == "" {
		dir, err := os.MkdirTemp("", "residual-bench")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		if program, err = build(ctx, dir, s.gpu()); err != nil {
			return err
		}
		s.revision = commit(ctx)
	}
	m := &machine{settings: s, python: python, scripts: folder, program: program, log: stderr}
	if s.all {
		return m.table(ctx)
	}
	result, err := m.compare(ctx)
	if err != nil {
		return err
	}
	if s.json {
		return number.Write(stdout, result, "  ")
	}
	_, err = io.WriteString(stdout, result.text())
	return err
}

// table measures the whole table.
func (m *machine) table(ctx context.Context) error {
	book, err := openLedger(m.state)
	if err != nil {
		return err
	}
	f, err := m.examine(ctx)
	if err != nil {
		return err
	}
	if m.images == "" {
		fmt.Fprintln(m.log, "Fashion-MNIST is not here, its rows are left out and the loader reads garments: \"residual data fetch fashion-mnist\"")
		if m.data == fashion {
			m.data = "garments"
		}
		m.skip = append(m.skip, "epoch", "gpu-recipe")
	}
	peers, err := m.findPeers(ctx, func(line string) { fmt.Fprintln(m.log, line) })
	if err != nil {
		return err
	}
	if !m.gpu() {
		remove, err := m.drawPhotos(ctx)
		if err != nil {
			return err
		}
		defer remove()
		m.skip = append(m.skip, m.withoutInt8(ctx, peers)...)
	}
	if err := (&sitting{machine: m, facts: f, peers: peers, book: book}).run(ctx); err != nil {
		return err
	}
	fmt.Fprintf(m.log, "the table is in %s\n", m.out)
	return nil
}

// drawPhotos generates the photos, and folders for files that rows generate when they need
// them; the function it returns removes all.
func (m *machine) drawPhotos(ctx context.Context) (remove func(), err error) {
	dir, err := os.MkdirTemp("", "residual-bench")
	if err != nil {
		return nil, err
	}
	remove = func() { os.RemoveAll(dir) }
	m.photos, m.weights, m.models = filepath.Join(dir, "photos"), filepath.Join(dir, "weights"), filepath.Join(dir, "models")
	for _, d := range []string{m.photos, m.weights, m.models} {
		err = errors.Join(err, os.Mkdir(d, 0o777))
	}
	if err == nil {
		err = photos.MakePhotos(ctx, m.photos, photos.PhotoConfig{Count: m.photoCount})
	}
	if err != nil {
		remove()
		return nil, err
	}
	return remove, nil
}

// record adds a training to the document.
func (s *settings) record(log io.Writer) error {
	book, err := openLedger(s.state)
	if err != nil {
		return err
	}
	read, from := readRun, s.run
	if s.recipe != "" {
		read, from = readRecipe, s.recipe
	}
	r, err := read(from)
	if err != nil {
		return err
	}
	r.Note = s.note
	book.putRun(r)
	if err := book.write(s.out); err != nil {
		return err
	}
	fmt.Fprintf(log, "%s is recorded in %s\n", from, s.out)
	return nil
}

func parse(args []string, stderr io.Writer) (settings, error) {
	var s settings
	var modes, layouts, peers, rows, onGPU string
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&s.residual, "residual", "", "a built residual program; built from the sources when not given")
	fs.StringVar(&s.revision, "revision", "", "with -residual: the commit it was built from")
	fs.StringVar(&s.device, "device", "cpu", "with -all: cpu, or cuda for the rows of an NVIDIA GPU")
	fs.StringVar(&onGPU, "torch", strings.Join(gpuSettingNames(), ","), "with -device cuda: settings of PyTorch that are tried")
	fs.StringVar(&modes, "modes", "train,infer", "what is measured")
	fs.StringVar(&layouts, "layouts", "channels_last,frozen", "settings of PyTorch: channels_last, contiguous, and for inference frozen")
	fs.IntVar(&s.batch, "batch", 64, "images in a batch")
	fs.IntVar(&s.memoryBatch, "memory-batch", 256, "images in a batch where memory is measured; 0 leaves that out")
	fs.IntVar(&s.size, "size", 96, "height and width of the images")
	fs.IntVar(&s.rounds, "rounds", 3, "turns each program takes")
	fs.IntVar(&s.repeat, "repeat", 10, "measurements in a turn, of which the median is taken; fewer of large batches in the table")
	fs.IntVar(&s.warmup, "warmup", 3, "steps before the first measurement of a turn")
	fs.IntVar(&s.threads, "threads", runtime.NumCPU(), "threads of both programs")
	fs.BoolVar(&s.json, "json", false, "print JSON")
	fs.BoolVar(&s.all, "all", false, "measure the whole table and write it to -out; -batch, -modes and -layouts do not matter then")
	fs.StringVar(&peers, "peers", "", "with -all: interpreters that have PyTorch, by commas (default: PYTHON, or the one that is found)")
	fs.StringVar(&s.onnxruntime, "onnxruntime", "", "with -all: the interpreter that has ONNX Runtime (default: the first that has it)")
	fs.StringVar(&s.openvino, "openvino", "", "with -all: the interpreter that has OpenVINO (default: the first that has it)")
	fs.StringVar(&s.processor, "processor", "", "with -all: what the table calls the processor, where its own name covers several generations")
	fs.StringVar(&rows, "rows", "", "with -all: only these rows: "+strings.Join(rowNames(), ","))
	fs.BoolVar(&s.again, "again", false, "with -all: also measure rows that are recorded")
	fs.IntVar(&s.epochImages, "epoch-images", 6000, "with -all: training images of the epoch, and a sixth as many to test; 60000 is the whole of it")
	fs.StringVar(&s.data, "data", fashion, "with -all: data set that the loader is measured with")
	fs.StringVar(&s.dataDir, "data-dir", "", "with -all: folder of the data; else RESIDUAL_DATA, which both programs know")
	fs.IntVar(&s.photoCount, "photos", 200, "with -all: JPEG photos that are drawn for decode and photos")
	fs.StringVar(&s.run, "run", "", "record this run folder of residual train in -out")
	fs.StringVar(&s.recipe, "recipe", "", "record this file, which torch_recipe.py printed, in -out")
	fs.StringVar(&s.note, "note", "", "what to say of -run or -recipe, such as the machine it ran on")
	fs.StringVar(&s.out, "out", filepath.Join("docs", "benchmarks.md"), "the document to write")
	fs.StringVar(&s.state, "state", "", "what the document is written from (default: beside it, as .json); an interrupted -all goes on from it")
	if err := fs.Parse(args); err != nil {
		return s, err
	}
	if fs.NArg() > 0 {
		return s, fmt.Errorf("unexpected argument %q: settings are flags, see -help", fs.Arg(0))
	}
	for name, n := range map[string]int{"batch": s.batch, "size": s.size, "rounds": s.rounds, "repeat": s.repeat, "threads": s.threads, "epoch-images": s.epochImages, "photos": s.photoCount} {
		if n < 1 {
			return s, fmt.Errorf("-%s %d: give at least 1", name, n)
		}
	}
	if s.device != "cpu" && (s.device != cuda || !s.all) {
		return s, fmt.Errorf("-device %s: choose cpu, or with -all cuda", s.device)
	}
	if s.run != "" && s.recipe != "" {
		return s, errors.New("-run and -recipe: give one at a time")
	}
	if s.state == "" {
		s.state = strings.TrimSuffix(s.out, filepath.Ext(s.out)) + ".json"
	}
	if peers != "" {
		s.peers = strings.Split(peers, ",")
	}
	var err error
	if rows != "" {
		if s.only, err = choose("rows", rows, rowNames()...); err != nil {
			return s, err
		}
	}
	if s.torchOnGPU, err = choose("torch", onGPU, gpuSettingNames()...); err != nil {
		return s, err
	}
	if s.modes, err = choose("modes", modes, "train", "infer"); err != nil {
		return s, err
	}
	s.layouts, err = choose("layouts", layouts, "channels_last", "contiguous", "frozen")
	return s, err
}

// choose splits a comma-separated list and checks each word against the known ones.
func choose(name, list string, known ...string) ([]string, error) {
	chosen := strings.Split(list, ",")
	for _, word := range chosen {
		ok := false
		for _, k := range known {
			ok = ok || word == k
		}
		if !ok {
			return nil, fmt.Errorf("-%s: %q is not known; choose from %s", name, word, strings.Join(known, ","))
		}
	}
	return chosen, nil
}

// scripts returns the folder of the Python scripts: in the checkout, or beside the program.
func scripts() (string, error) {
	places := []string{"bench", "."}
	if program, err := os.Executable(); err == nil {
		places = append(places, filepath.Dir(program))
	}
	for _, dir := range places {
		if _, err := os.Stat(filepath.Join(dir, "torch_resnet.py")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("torch_resnet.py is not here: run this in the folder of the checkout, as go run ./bench, or lay the scripts of bench/ beside the program")
}

// build compiles the program as users do, without cgo. The result does not depend on the
// folder or the commit, so that the same sources give the same file.
func build(ctx context.Context, dir string, gpu bool) (string, error) {
	program := filepath.Join(dir, "residual")
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	args := []string{"build", "-trimpath", "-buildvcs=false", "-o", program}
	if gpu {
		args = append(args, "-tags", "cuda")
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "github.com/residual-ml/residual/cmd/residual")...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./cmd/residual: %v\n%s", err, out)
	}
	return program, nil
}

// commit returns the commit of the sources, marked where they differ from it, or "" where
// git does not know. The documents, into which results are written, do not count as sources.
func commit(ctx context.Context) string {
	git := func(args ...string) (string, error) {
		out, err := exec.CommandContext(ctx, "git", args...).Output()
		return strings.TrimSpace(string(out)), err
	}
	at, err := git("describe", "--always", "--exclude=*")
	if err != nil {
		return ""
	}
	if changed, err := git("status", "--porcelain", "--untracked-files=no", "--", ":(top)", ":(top,exclude)docs"); err != nil || changed != "" {
		at += "-dirty"
	}
	return at
}
