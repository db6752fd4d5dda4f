package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/internal/number"
)

// ledger is the data from which the document is written. It is saved after every row, so
// that an interrupted run of the benchmark can continue.
type ledger struct {
	Machines []facts   `json:"machines"`
	Trials   []trial   `json:"trials"`
	Records  []record  `json:"records"`
	Runs     []runOver `json:"runs"`

	path string
}

// facts describe the machine and the program, as printed by residual doctor --json.
type facts struct {
	CPU      string   `json:"cpu"`
	Cores    int      `json:"cores"`
	Threads  int      `json:"threads"` // number of computing threads
	Has      []string `json:"has"`     // CPU features for which there are kernels
	Kernels  string   `json:"kernels"`
	Memory   int64    `json:"memory_bytes"`
	Go       string   `json:"go"`
	Version  string   `json:"version"`
	System   string   `json:"system"`
	Build    string   `json:"build"`              // digest of the program
	Revision string   `json:"revision,omitempty"` // revision of its sources
	GPU      string   `json:"gpu,omitempty"`      // name and driver of the GPU; empty where the CPU computes
}

// key identifies a machine: a processor's name alone may cover several generations with
// different instructions.
func (f facts) key() string {
	key := fmt.Sprintf("%s, %s, %d threads", f.CPU, f.Kernels, f.Threads)
	if f.GPU != "" {
		key = f.GPU + ", beside " + key
	}
	return key
}

// A trial is a short turn of one of a peer's settings; the trials decide which are the best.
type trial struct {
	Machine   string    `json:"machine"`
	Peer      string    `json:"peer"`
	Job       job       `json:"job"`
	Contender contender `json:"contender"`
	Rate      float64   `json:"images_per_second,omitempty"`
	Problem   string    `json:"problem,omitempty"` // why there is no rate
}

// A record is a row of the table against one peer.
type record struct {
	Row     string `json:"row"`
	Title   string `json:"title"`
	Unit    unit   `json:"unit"`
	Machine string `json:"machine"`
	Build   string `json:"build"`
	Peer    string `json:"peer"` // name and version; "" where Residual is compared with itself
	Date    string `json:"date"`
	Rounds  int    `json:"rounds"`
	Job     job    `json:"job"`
	Ours    side   `json:"ours"`
	Rivals  []side `json:"rivals"` // the best first
	Ratio   spread `json:"ratio"`  // Residual over the best rival, in the row's unit

	LoaderRate float64 `json:"loader_images_per_second,omitempty"` // rate of the loader alone, on one core
}

// side is one contender's part of a record.
type side struct {
	Contender contender `json:"contender"`
	Precision string    `json:"precision,omitempty"` // the precision that was used
	Kernels   string    `json:"kernels,omitempty"`
	Turns     []float64 `json:"turns"` // in the order of the rounds
	Value     spread    `json:"value"`
	Command   string    `json:"command"`
}

// openLedger reads the file at path, or starts a new ledger.
func openLedger(path string) (*ledger, error) {
	l := &ledger{path: path}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, l); err != nil {
		return nil, fmt.Errorf("-state %s is no record of this program (%w): give another file, or remove it", path, err)
	}
	return l, nil
}

func (l *ledger) save() error {
	return checkpoint.WriteFile(l.path, func(w io.Writer) error { return number.Write(w, l, " ") })
}

// put replaces the element of the same kind, or appends v.
func put[T any](list []T, v T, same func(a, b T) bool) []T {
	if i := slices.IndexFunc(list, func(old T) bool { return same(old, v) }); i >= 0 {
		list[i] = v
		return list
	}
	return append(list, v)
}

func (l *ledger) putMachine(f facts) {
	l.Machines = put(l.Machines, f, func(a, b facts) bool { return a.key() == b.key() })
}

func (l *ledger) putTrial(t trial) {
	l.Trials = put(l.Trials, t, func(a, b trial) bool {
		return a.Machine == b.Machine && a.Peer == b.Peer && a.Job == b.Job && a.Contender == b.Contender
	})
}

func (l *ledger) putRecord(r record) {
	l.Records = put(l.Records, r, func(a, b record) bool {
		return a.Machine == b.Machine && a.Peer == b.Peer && a.Row == b.Row
	})
}

// tried returns the recorded trial of a setting.
func (l *ledger) tried(t trial) (trial, bool) {
	for _, old := range l.Trials {
		if old.Machine == t.Machine && old.Peer == t.Peer && old.Job == t.Job && old.Contender == t.Contender {
			return old, true
		}
	}
	return t, false
}

// has reports whether the ledger has the row as it would be measured now: with the same
// build and at least as many rounds.
func (l *ledger) has(row string, f facts, peer string, j job, rounds int) bool {
	return slices.ContainsFunc(l.Records, func(r record) bool {
		return r.Row == row && r.Machine == f.key() && r.Build == f.Build && r.Peer == peer && r.Job == j && r.Rounds >= rounds
	})
}

// runOver is a finished training, read from the files that it left.
type runOver struct {
	Program   string  `json:"program"` // name and version
	Model     string  `json:"model"`
	Data      string  `json:"data"`
	Precision string  `json:"precision"`
	Setting   string  `json:"setting,omitempty"` // setting of PyTorch
	Seed      uint64  `json:"seed"`
	Batch     int     `json:"batch"`
	Rate      float64 `json:"lr"`
	Epochs    int     `json:"epochs"` // number of epochs requested
	TrainSize int     `json:"train_size,omitempty"`
	TestSize  int     `json:"test_size,omitempty"`
	Threads   int     `json:"threads"`
	Note      string  `json:"note,omitempty"`
	Ends      []end   `json:"ends"`
}

// end is what is known at the end of an epoch.
type end struct {
	Epoch           int               `json:"epoch"`
	Loss            checkpoint.Number `json:"loss"`
	TrainAccuracy   checkpoint.Number `json:"train_accuracy"`
	TestAccuracy    checkpoint.Number `json:"test_accuracy"`
	ImagesPerSecond float64           `json:"images_per_second"`
	Seconds         float64           `json:"seconds"` // since the start
}
