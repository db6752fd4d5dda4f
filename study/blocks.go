package study

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/internal/rng"
	"github.com/residual-ml/residual/report"
)

// BlocksConfig configures an ablation study of a trained net (Veit, Wilber and Belongie
// 2016, https://arxiv.org/abs/1605.06431): the net is tested without each of its blocks
// in turn, and without random groups of them.
type BlocksConfig struct {
	Source `yaml:",inline"`
	Groups int    `yaml:"groups" json:"groups"` // random groups of each size; 0: 3
	Seed   uint64 `yaml:"seed" json:"seed"`     // seed of the random groups
	Out    string `yaml:"out" json:"out"`
}

// BlockRow is the result for one block.
type BlockRow struct {
	Block        string `json:"block"`
	CanBeLeftOut bool   `json:"can_be_left_out"` // false: the block changes the shape
	Share        Value  `json:"share"`           // norm of the branch over that of the shortcut, on the test images
	Loss         Value  `json:"loss"`            // without the block
	Accuracy     Value  `json:"accuracy"`
	Lost         Value  `json:"accuracy_lost"` // accuracy lost by leaving it out
}

// BlocksResult is the result of an ablation study.
type BlocksResult struct {
	Dir      string       `json:"-"`
	Config   BlocksConfig `json:"settings"`
	Baseline Measure      `json:"whole"`
	Rows     []BlockRow   `json:"table"`
	Groups   []Measure    `json:"groups"`
	Findings []string     `json:"findings"`
}

// Blocks is an ablation study in its folder.
type Blocks struct {
	Dir    string
	Config BlocksConfig
	folder *checkpoint.Run
	source *opened
}

// BlocksCallbacks report the progress of a study. Any may be nil.
type BlocksCallbacks struct {
	OnData    func(done, total int64, what string)
	OnMeasure func(done, total int, m Measure)
}

// NewBlocks creates a study of c.Model in a numbered folder under c.Out.
func NewBlocks(ctx context.Context, dev engine.Device, c BlocksConfig, cb BlocksCallbacks) (*Blocks, error) {
	if c.Groups == 0 {
		c.Groups = 3
	}
	if c.Groups < 0 || c.Groups > 1000 {
		return nil, field.Errorf("{Groups} %d: must be from 1 to 1000", c.Groups)
	}
	o, err := c.Source.open(ctx, dev, engine.Inference, cb.OnData)
	if err != nil {
		return nil, err
	}
	if can, cannot := o.candidates(); len(can) == 0 {
		return nil, fmt.Errorf("%s has no block that can be left out: all of them change the shape (%s)", c.Model, o.names(cannot))
	}
	folder, err := newFolder(c.Out, "study-blocks", c)
	if err != nil {
		return nil, err
	}
	return &Blocks{folder.Dir, c, folder, o}, nil
}

// OpenBlocks opens an existing study to resume it. change may adjust its Source, such as
// where the data is now.
func OpenBlocks(ctx context.Context, dev engine.Device, dir string, change func(*Source), cb BlocksCallbacks) (*Blocks, error) {
	folder, c, err := openFolder[BlocksConfig](dir, "study-blocks")
	if err != nil {
		return nil, err
	}
	change(&c.Source)
	o, err := c.Source.open(ctx, dev, engine.Inference, cb.OnData)
	if err != nil {
		return nil, err
	}
	return &Blocks{folder.Dir, c, folder, o}, nil
}

// groups picks random groups of 2, 4, 8, ... blocks, and adds the group of all blocks.
func (b *Blocks) groups(can []place) (all [][]place) {
	for size := 2; size < len(can); size *= 2 {
		for i := range b.Config.Groups {
			r := rng.PCG(b.Config.Seed, uint64(size)<<32|uint64(i))
			var g []place
			for _, k := range r.Perm(len(can))[:size] {
				g = append(g, can[k])
			}
			all = append(all, sorted(g))
		}
	}
	if len(can) > 1 {
		all = append(all, can)
	}
	return all
}

// Run measures what has not been measured yet and writes table.csv, groups.csv,
// table.json, blocks.png and blocks.svg. When ctx ends it returns ctx's error, and a
// later Run in the folder continues with the next measurement.
func (b *Blocks) Run(ctx context.Context, dev engine.Device, cb BlocksCallbacks) (r BlocksResult, err error) {
	can, _ := b.source.candidates()
	groups := b.groups(can)
	total := 1 + len(can) + len(groups)
	l, err := newAblations(b.source, b.source.test, b.folder, nil)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, l.log.Close()) }()
	l.OnDone = func(m Measure) {
		if cb.OnMeasure != nil {
			cb.OnMeasure(min(len(l.known), total), total, m)
		}
	}
	r = BlocksResult{Dir: b.Dir, Config: b.Config}
	if r.Baseline, err = l.without(ctx, nil); err != nil {
		return r, err
	}
	alone := map[place]Measure{}
	for _, p := range can {
		if alone[p], err = l.without(ctx, []place{p}); err != nil {
			return r, err
		}
	}
	for _, g := range groups {
		m, err := l.without(ctx, g)
		if err != nil {
			return r, err
		}
		r.Groups = append(r.Groups, m)
	}
	shares, err := b.source.branchShares(ctx, dev)
	if err != nil {
		return r, err
	}
	r.rows(b.source, alone, shares)
	return r, b.write(r)
}

func (r *BlocksResult) rows(o *opened, alone map[place]Measure, shares []Value) {
	for i, s := range o.net.Stages() {
		for j := range s.Blocks {
			nan := Value(math.NaN())
			row := BlockRow{Block: blockName(s, j), Share: shares[len(r.Rows)], Loss: nan, Accuracy: nan, Lost: nan}
			if m, ok := alone[place{i, j}]; ok {
				row.CanBeLeftOut, row.Loss, row.Accuracy, row.Lost = true, m.Loss, m.Accuracy, r.Baseline.Accuracy-m.Accuracy
			}
			r.Rows = append(r.Rows, row)
		}
	}
	r.Findings = r.find()
}

// find summarises which blocks matter, which could be removed, and which must stay.
func (r *BlocksResult) find() []string {
	const little = 0.01
	var go_, stay, fixed []string
	ranked := slices.DeleteFunc(slices.Clone(r.Rows), func(w BlockRow) bool { return !w.CanBeLeftOut })
	slices.SortStableFunc(ranked, func(a, b BlockRow) int {
		switch {
		case orWorst(a.Loss) > orWorst(b.Loss):
			return -1
		case orWorst(a.Loss) < orWorst(b.Loss):
			return 1
		}
		return 0
	})
	for _, w := range ranked {
		if w.Lost <= little {
			go_ = append(go_, w.Block)
		} else {
			stay = append(stay, fmt.Sprintf("%s (%.1f points)", w.Block, 100*float64(w.Lost)))
		}
	}
	for _, w := range r.Rows {
		if !w.CanBeLeftOut {
			fixed = append(fixed, w.Block)
		}
	}
	slices.Reverse(go_)
	list := func(words []string) string {
		if len(words) == 0 {
			return "none"
		}
		return strings.Join(words, ", ")
	}
	return []string{
		"alone, each could go at a cost of at most one point of accuracy, the least loss first: " + list(go_),
		"matter more, the most loss first: " + list(stay),
		"change the shape and cannot be left out: " + list(fixed),
	}
}

func (b *Blocks) write(r BlocksResult) error {
	var rows, groups [][]any
	for _, w := range r.Rows {
		rows = append(rows, []any{w.Block, w.CanBeLeftOut, w.Share, w.Loss, w.Accuracy, w.Lost})
	}
	for _, m := range append([]Measure{r.Baseline}, r.Groups...) {
		groups = append(groups, []any{m.Blocks, m.Loss, m.Accuracy, m.LeftOut})
	}
	if err := writeCSV(b.folder.Path("table.csv"), []string{"block", "can_be_left_out", "share", "loss", "accuracy", "accuracy_lost"}, rows); err != nil {
		return err
	}
	if err := writeCSV(b.folder.Path("groups.csv"), []string{"blocks", "loss", "accuracy", "left_out"}, groups); err != nil {
		return err
	}
	if err := writeJSON(b.folder.Path("table.json"), r); err != nil {
		return err
	}
	return writeFigure(b.folder, "blocks", r.Figure())
}

// Figure shows what leaving out each block costs, the relative norm of its branch, and
// the accuracy as more and more blocks are left out.
func (r BlocksResult) Figure() report.Figure {
	lost := report.Line{Color: 1, Bars: true}
	share := report.Line{Color: 2, Bars: true}
	var ticks []report.Tick
	every := max(1, len(r.Rows)/24)
	for i, w := range r.Rows {
		if x := float64(i); i%every == 0 {
			ticks = append(ticks, report.Tick{Value: x, Label: w.Block})
		}
		lost.Points = append(lost.Points, report.Point{X: float64(i), Y: 100 * float64(w.Lost)})
		share.Points = append(share.Points, report.Point{X: float64(i), Y: float64(w.Share)})
	}
	groups := report.Line{Name: "mean of random groups", Color: 1, Marks: true}
	bySize := map[int][]Value{0: {r.Baseline.Accuracy}}
	for _, w := range r.Rows {
		if w.CanBeLeftOut {
			bySize[1] = append(bySize[1], w.Accuracy)
		}
	}
	for _, m := range r.Groups {
		bySize[m.Blocks] = append(bySize[m.Blocks], m.Accuracy)
	}
	for size := range len(r.Rows) + 1 {
		if bySize[size] == nil {
			continue
		}
		s := spreadOf(bySize[size])
		groups.Points = append(groups.Points, report.Point{X: float64(size), Y: 100 * float64(s.Mean)})
		groups.Low, groups.High = append(groups.Low, 100*float64(s.Min)), append(groups.High, 100*float64(s.Max))
	}
	return report.Figure{Rows: [][]report.Panel{{
		{Title: "accuracy lost without the block", Y: "points", Lines: []report.Line{lost}, Ticks: ticks, FromZero: true},
		{Title: "norm of the branch over the shortcut's", Y: "share", Lines: []report.Line{share}, Ticks: ticks, FromZero: true},
		{Title: "accuracy without several blocks", X: "blocks left out", Y: "accuracy (%)", Lines: []report.Line{groups}},
	}}}
}
