package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/residual-ml/residual/report"
)

// sitting measures the rows of the table one after the other.
type sitting struct {
	*machine
	facts facts
	peers []peer
	book  *ledger
	pace  pace
}

// pace estimates the remaining time from guesses, corrected by what was measured.
type pace struct{ planned, done, spent time.Duration }

func (p *pace) left() time.Duration {
	remaining := p.planned - p.done
	if p.done > 0 {
		remaining = time.Duration(float64(remaining) * float64(p.spent) / float64(p.done))
	}
	return max(remaining, 0).Round(time.Minute)
}

// guess estimates the duration of a turn. It uses PyTorch's speed for every program: the
// guesses only need to be in proportion.
func (m *machine) guess(c contender, j job) time.Duration {
	train, infer := 30*float64(m.threads), 120*float64(m.threads) // images per second
	rate := infer
	if j.Mode == "train" {
		rate = train
	}
	switch j.Model { // roughly by the multiply-adds of an image
	case resnet50.model:
		rate /= 25
	case resnet18.model:
		rate /= 10
	}
	step := float64(j.Batch) / rate
	took := 4 + float64(j.Warmup+1)*step + float64(j.Repeat)*max(step, 0.2)
	if j.Mode == "load" {
		took = 4 + 0.3*float64(j.Repeat)
	}
	if j.Mode == "weights" || j.Mode == "predict" {
		took = 4 + 0.4*float64(j.Repeat)
	}
	if j.Mode == "epoch" {
		took = 4 + float64(max(j.Epochs, 1))*(float64(j.Train)/train+float64(j.Test)/infer)
	}
	if m.gpu() { // starting takes longer than the work itself
		took = 15
	}
	if c.Compile {
		took += 60
	}
	return time.Duration(took * float64(time.Second))
}

// todo is a row against a peer that is not in the ledger.
type todo struct {
	row
	peer peer
}

// plan lists what remains to be measured, and estimates the time.
func (s *sitting) plan() (list []todo, recorded int) {
	seen := map[trial]bool{}
	for _, p := range s.peers {
		for _, r := range s.rows(p) {
			if !s.again && s.book.has(r.id, s.facts, p.name(), r.job, s.rounds) {
				recorded++
				continue
			}
			list = append(list, todo{r, p})
			if len(r.rivals) > r.finalists {
				for _, c := range r.rivals {
					t := s.trial(p, c, r.trials)
					if _, ok := s.book.tried(t); !ok && !seen[t] {
						s.pace.planned += s.guess(c, r.trials)
					}
					seen[t] = true
				}
			}
			s.pace.planned += time.Duration(s.rounds*(1+min(r.finalists, len(r.rivals)))) * s.guess(contender{}, r.job)
		}
	}
	return list, recorded
}

func (s *sitting) trial(p peer, c contender, j job) trial {
	return trial{Machine: s.facts.key(), Peer: p.name(), Job: j, Contender: c}
}

// run measures what is missing. After every row it saves the ledger and writes the
// document.
func (s *sitting) run(ctx context.Context) error {
	list, recorded := s.plan()
	fmt.Fprintf(s.log, "%d rows to measure, %d already in %s; about %s\n", len(list), recorded, s.book.path, report.Duration(s.pace.left()))
	s.book.putMachine(s.facts)
	var failed []error
	for i, t := range list {
		against := cmp.Or(t.peer.name(), "itself, fed from memory")
		fmt.Fprintf(s.log, "row %d of %d: %s, against %s; about %s left\n", i+1, len(list), t.title, against, report.Duration(s.pace.left()))
		s.python = t.peer.python
		err := s.measure(ctx, t)
		if ctx.Err() != nil {
			return fmt.Errorf("interrupted; finished rows are in %s, the same command goes on with the rest", s.book.path)
		}
		if err != nil { // the other rows can still be measured
			failed = append(failed, fmt.Errorf("%s, against %s: %w", t.title, against, err))
			fmt.Fprintln(s.log, failed[len(failed)-1])
		}
		if err := s.book.write(s.out); err != nil {
			return err
		}
	}
	return errors.Join(append(failed, s.book.write(s.out))...)
}

// turn runs one turn and updates the pace.
func (s *sitting) turn(ctx context.Context, c contender, j job) (turn, error) {
	began := time.Now()
	t, err := s.take(ctx, c, j)
	s.pace.done += s.guess(c, j)
	s.pace.spent += time.Since(began)
	return t, err
}

// measure runs Residual and the best settings of the peer in turn.
func (s *sitting) measure(ctx context.Context, t todo) error {
	rivals := t.rivals
	if len(rivals) > t.finalists {
		var err error
		if rivals, err = s.choose(ctx, t); err != nil {
			return err
		}
	}
	if t.unit == startTime {
		if err := s.drawWeights(ctx); err != nil {
			return err
		}
	}
	both := append([]contender{t.ours}, rivals...)
	turns := make([][]turn, len(both))
	order := make([]int, len(both))
	for i := range order {
		order[i] = i
	}
	for range s.rounds {
		for _, i := range order {
			got, err := s.turn(ctx, both[i], t.job)
			if err != nil {
				return err
			}
			turns[i] = append(turns[i], got)
		}
		slices.Reverse(order)
	}
	r := record{
		Row: t.id, Title: t.title, Unit: t.unit, Machine: s.facts.key(), Build: s.facts.Build, Peer: t.peer.name(),
		Date: time.Now().UTC().Format(time.DateOnly), Rounds: s.rounds, Job: t.job,
	}
	if t.ours.Feed != "" && t.ours.Feed != feedNone {
		r.LoaderRate = spreadOf(each(turns[0], func(t turn) float64 { return t.LoaderImagesPerSecond })).Median
		if t.ours.Feed == "loader" {
			r.Title += " (" + s.data + ")"
		}
	}
	best := fastest(both, turns, t.unit, t.job)
	s.book.putRecord(s.fill(r, both, turns, best))
	if t.memoryID != "" && turns[0][0].PeakRSSBytes > 0 && turns[best][0].PeakRSSBytes > 0 {
		r.Row, r.Title, r.Unit = t.memoryID, t.memory, memory
		s.book.putRecord(s.fill(r, both, turns, best))
	}
	return s.book.save()
}

// fastest returns the index of the rival with the best median.
func fastest(both []contender, turns [][]turn, u unit, j job) int {
	best := 1
	for i := range both {
		if i > 0 && u.ratio(middle(turns[i], u, j), middle(turns[best], u, j)) > 1 {
			best = i
		}
	}
	return best
}

func middle(turns []turn, u unit, j job) float64 {
	return spreadOf(each(turns, func(t turn) float64 { return u.of(t, j) })).Median
}

func each(turns []turn, value func(turn) float64) []float64 {
	var list []float64
	for _, t := range turns {
		list = append(list, value(t))
	}
	return list
}

// fill adds both sides to r and computes their ratios round by round; best is the index of
// the rival that counts.
func (s *sitting) fill(r record, both []contender, turns [][]turn, best int) record {
	sides := make([]side, len(both))
	for i, c := range both {
		values := each(turns[i], func(t turn) float64 { return r.Unit.of(t, r.Job) })
		sides[i] = side{Contender: c, Precision: cmp.Or(turns[i][0].Precision, c.Precision), Kernels: turns[i][0].Kernels,
			Turns: values, Value: spreadOf(values), Command: s.shown(c, r.Job)}
	}
	var ratios []float64
	for round := range sides[0].Turns {
		ratios = append(ratios, r.Unit.ratio(sides[0].Turns[round], sides[best].Turns[round]))
	}
	r.Ratio = spreadOf(ratios)
	r.Ours = sides[0]
	r.Rivals = append([]side{sides[best]}, slices.Delete(slices.Clone(sides[1:]), best-1, best)...)
	return r
}

// A setting that does not finish is given up after longestTrial, and earlier when it has
// taken hopeless times as long as the fastest one before it. Compiled settings may take
// longestCompiling more.
const (
	longestTrial     = 15 * time.Minute
	hopeless         = 3
	longestCompiling = 2 * time.Minute
	minTrial         = 20 * time.Second // starting may be slow
)

// patience returns how long a setting may take when the fastest so far took best, 0 where
// there is none.
func patience(c contender, best time.Duration) time.Duration {
	limit := longestTrial
	if best > 0 {
		limit = min(limit, max(minTrial, hopeless*best))
		if c.Compile {
			limit = min(longestTrial, limit+longestCompiling)
		}
	}
	return limit
}

// choose gives every setting a short turn and returns the fastest ones.
func (s *sitting) choose(ctx context.Context, t todo) ([]contender, error) {
	var good []trial
	var why []string
	var shortest time.Duration // among this run's trials
	for _, c := range t.rivals {
		one, known := s.book.tried(s.trial(t.peer, c, t.trials))
		if !known || s.again && one.Problem != "" {
			limit, began := patience(c, shortest), time.Now()
			short, cancel := context.WithTimeout(ctx, limit)
			got, err := s.turn(short, c, t.trials)
			took := time.Since(began)
			timedOut := short.Err() != nil && ctx.Err() == nil
			cancel()
			one = s.trial(t.peer, c, t.trials)
			var failed *failure
			switch {
			case err == nil:
				one.Rate = max(got.Fastest, got.ImagesPerSecond) // the fastest step, so that a moment when the machine is busy decides nothing
				if shortest == 0 || took < shortest {
					shortest = took
				}
			case timedOut:
				one.Problem = fmt.Sprintf("given up after %s", report.Duration(limit))
				fmt.Fprintf(s.log, "%s: %s\n", c.name(), one.Problem)
			case errors.As(err, &failed):
				one.Problem = reason(err)
				fmt.Fprintf(s.log, "%s: %s\n", c.name(), one.Problem)
			default:
				return nil, err
			}
			s.book.putTrial(one)
			if err := s.book.save(); err != nil {
				return nil, err
			}
		}
		if one.Problem != "" {
			why = append(why, c.name()+": "+one.Problem)
			continue
		}
		good = append(good, one)
	}
	if len(good) == 0 { // so that all settings are tried again next time
		s.book.Trials = slices.DeleteFunc(s.book.Trials, func(one trial) bool {
			return one.Problem != "" && one.Peer == t.peer.name() && one.Job == t.trials
		})
		return nil, fmt.Errorf("no setting works:\n%s", strings.Join(why, "\n"))
	}
	slices.SortStableFunc(good, func(a, b trial) int { return cmp.Compare(b.Rate, a.Rate) })
	var best []contender
	for _, g := range good[:min(t.finalists, len(good))] {
		best = append(best, g.Contender)
	}
	return best, nil
}

// withoutInt8 returns the rows in int8 when they cannot be measured, and says why: this
// build of Residual has no int8, or nothing here quantises networks for the others.
func (m *machine) withoutInt8(ctx context.Context, peers []peer) (skip []string) {
	var rows []string
	for _, p := range peers {
		if p.program == onnx {
			m.quant = p.python
		}
		for _, r := range m.rows(p) {
			if r.ours.Precision == "int8" && !slices.Contains(rows, r.id) {
				rows = append(rows, r.id)
			}
		}
	}
	if len(rows) == 0 {
		return nil
	}
	if m.quant == "" {
		fmt.Fprintln(m.log, "ONNX Runtime quantises the networks in int8 and was not found, the rows in int8 are left out")
		return rows
	}
	quiet := *m
	quiet.log = io.Discard
	_, err := quiet.take(ctx, contender{Program: residual, Precision: "int8"}, job{Mode: "infer", Batch: 1, Size: 32, Repeat: 1})
	if err != nil && ctx.Err() == nil {
		fmt.Fprintf(m.log, "this build of Residual has no int8 (%s), the rows in int8 are left out\n", reason(err))
		return rows
	}
	return nil
}

// shown is the command line of a turn as one would type it on any machine.
func (m *machine) shown(c contender, j job) string {
	args, dir, err := m.command(c, j)
	if err != nil {
		return ""
	}
	if dir != "" {
		os.Remove(dir)
	}
	words := []string{"residual"}
	if c.Program != residual {
		words = []string{"python3", "bench/" + filepath.Base(args[1])}
	}
	for i := len(words); i < len(args); i++ {
		switch args[i] {
		case "--out", "--data-dir", "--photos": // paths on this machine
			i++
		case "--data":
			if c.Program == residual {
				words = append(words, args[i], args[i+1])
			}
			i++
		case m.photo(), m.weightsFile("safetensors"), m.weightsFile("pth"), m.modelFile(), m.quantised(c, j):
			words = append(words, filepath.Base(args[i]))
		default:
			words = append(words, args[i])
		}
	}
	return strings.Join(words, " ")
}
