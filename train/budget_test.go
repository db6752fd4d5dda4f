package train

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/train/loop"
)

// taking is an estimate of so many seconds for an epoch.
func taking(seconds float64) Estimate {
	d := time.Duration(seconds * float64(time.Second))
	return Estimate{Speed: loop.Speed{FirstEpoch: d, Epoch: d, Steps: 5}}
}

func TestChoose(t *testing.T) {
	ladder := []offer{
		{Config: Config{Model: "small", Resize: 96}, least: 10, enough: 20, most: 120},
		{Config: Config{Model: "middle", Resize: 128}, least: 10, enough: 20, most: 120},
		{Config: Config{Model: "large", Resize: 224}, least: 10, enough: 20, most: 120},
	}
	given := []offer{{Config: Config{Model: "small", Resize: 96}, least: 7, enough: 7, most: 7}}
	for _, c := range []struct {
		offers        []offer
		seconds       []float64 // of an epoch of each offer
		budget        time.Duration
		offer, epochs int
		measured      int
		says          string
	}{
		{ladder, []float64{1, 4, 16}, 1000 * time.Second, 2, 56, 3, "large at 224x224 for 56 epochs, 16s each, suits 16m40s"},
		{ladder, []float64{1, 4, 16}, 300 * time.Second, 1, 67, 3, "large at 224x224 would have had 16 epochs of 16s each, and 20 are the least for it"},
		{ladder, []float64{1, 4, 16}, 40 * time.Second, 0, 36, 2, "middle at 128x128 would have had 9 epochs"},
		{ladder, []float64{1, 4, 16}, 20 * time.Second, 0, 18, 1, "suits 20s (--budget)\nthese are few: --budget 30s would have room for 20"},
		{ladder, []float64{1, 4, 16}, 10 * time.Second, -1, 0, 1, "--budget 10s: small at 96x96 takes 1s an epoch, so that 9 of at least 10 epochs fit; give --budget 20s, --epochs 9, or"},
		{ladder, []float64{1, 4, 16}, time.Hour, 2, 120, 3, "more than 120 epochs"},
		{given, []float64{1}, 8 * time.Second, 0, 7, 1, "for 7 epochs"},
		{given, []float64{1}, time.Hour, 0, 7, 1, "for 7 epochs"},
		{given, []float64{1}, 3 * time.Second, -1, 0, 1, "so that 2 of at least 7 epochs fit; give --budget 10s, --epochs 2, or"},
		{given, []float64{10}, 3 * time.Second, -1, 0, 1, "so that 0 of at least 7 epochs fit; give --budget 1m20s, or fewer pictures"},
	} {
		t.Run(fmt.Sprint(len(c.offers), c.budget), func(t *testing.T) {
			measured := 0
			got, err := choose(c.offers, c.budget, func() time.Duration { return c.budget }, func(i int) (Estimate, error) {
				measured++
				return taking(c.seconds[i]), nil
			})
			text := strings.Join(got.why, "\n")
			if err != nil {
				got.offer, text = -1, err.Error()
			}
			if got.offer != c.offer || got.epochs != c.epochs || measured != c.measured || !strings.Contains(text, c.says) {
				t.Errorf("offer %d for %d epochs, %d measured: %s", got.offer, got.epochs, measured, text)
			}
		})
	}
}

// What does not fit into memory is not chosen, and is named.
func TestChooseFitsMemory(t *testing.T) {
	offers := []offer{{Config: Config{Model: "small", Resize: 96}, least: 1, enough: 2, most: 3}, {Config: Config{Model: "large", Resize: 224}, least: 1, enough: 2, most: 3}}
	f := Forecast{Memory: 300 << 20}
	for most, want := range map[int64]string{
		300 << 20: "small at 96x96 for 3 epochs, 1s each, suits 1m (--budget)\nlarge at 224x224 needs 301 MiB of memory, and 300 MiB are free",
		301 << 20: "large at 224x224 for 3 epochs, 1s each, suits 1m (--budget)\nmore than 3 epochs would be of little use",
		100 << 20: "--budget: small at 96x96 needs 101 MiB of memory, and 100 MiB are free; give a smaller --batch or --resize, or --recompute",
		0:         "large at 224x224 for 3 epochs, 1s each, suits 1m (--budget)\nmore than 3 epochs would be of little use",
	} {
		f.Memory = most
		c, err := choose(offers, time.Minute, func() time.Duration { return time.Minute }, func(i int) (Estimate, error) {
			return taking(1), f.roomFor([]int64{101 << 20, 301 << 20}[i])
		})
		got := strings.Join(c.why, "\n")
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("of %d bytes:\n%s\nwant\n%s", most, got, want)
		}
	}
}

// What was spent on trials is gone, and what comes before and after the epochs counts.
func TestChooseCountsAll(t *testing.T) {
	o := []offer{{Config: Config{Model: "m", Resize: 8}, least: 1, enough: 1, most: 1000}}
	e := taking(2)
	e.FirstEpoch, e.Evaluation, e.FirstEvaluation = 5*time.Second, time.Second, 2*time.Second
	e.Saving, e.After = time.Second, 10*time.Second
	// Of 100 s, 10 are kept in reserve and 30 spent: 60 = 10 + (5+2+1) + 10.5 (2+1+1).
	c, err := choose(o, 100*time.Second, func() time.Duration { return 70 * time.Second }, func(int) (Estimate, error) { return e, nil })
	if err != nil || c.epochs != 11 {
		t.Errorf("%+v, %v", c, err)
	}
	if total := e.of(11).Total; total != 58*time.Second {
		t.Errorf("11 epochs take %v", total)
	}
	failed := errors.New("no")
	if _, err := choose(o, time.Second, nil, func(int) (Estimate, error) { return e, failed }); err != failed {
		t.Error(err)
	}
}

// What a budget may choose from goes by what was not given.
func TestOffers(t *testing.T) {
	dir := t.TempDir()
	if err := folder.Make(t.Context(), dir+"/photos", folder.MakeConfig{PerClass: 4}); err != nil {
		t.Fatal(err)
	}
	of := func(c Config, pictures int) (all []string) {
		c.Data, c.Forecast = dir+"/photos", &Forecast{Budget: time.Minute}
		c = c.Resolved()
		if c.free.pictures > 0 { // of a larger folder
			c.free.pictures = pictures
			c = c.like(photoRecipeFor(pictures))
			if c.free.epochs {
				c.Epochs = photoRecipeFor(pictures).Epochs
			}
		}
		for _, o := range c.offers() {
			all = append(all, fmt.Sprintf("%s %v %d/%d by %d at %v of %v, %d-%d-%d", o.Model, o.Blocks, o.Resize, o.ResizeShorter, o.Batch, o.LR, o.CropScale, o.least, o.enough, o.most))
			if o.Momentum != c.Momentum || o.free == nil {
				t.Errorf("%+v", o)
			}
		}
		return all
	}
	small, middle, large := "resnet18 [1 1 1 1] 96/110 by 32 at 0.03 of 0.5", "resnet18 [] 128/146 by 64 at 0.025 of 0.08", "resnet18 [] 224/256 by 128 at 0.05 of 0.08"
	for _, c := range []struct {
		config   Config
		pictures int
		want     []string
	}{
		{Config{}, 500, []string{small + ", 15-30-180"}},
		{Config{}, 5000, []string{small + ", 10-20-120", middle + ", 10-20-120"}},
		{Config{}, 50000, []string{small + ", 8-15-90", middle + ", 8-15-90", large + ", 8-15-90"}},
		{Config{Epochs: 5}, 5000, []string{small + ", 5-5-5", middle + ", 5-5-5"}},
		{Config{Resize: 64, LR: 0.5, Batch: 16}, 5000, []string{"resnet18 [1 1 1 1] 64/73 by 16 at 0.5 of 0.5, 10-20-120", "resnet18 [] 64/73 by 16 at 0.5 of 0.08, 10-20-120"}},
		{Config{Preparation: Preparation{CropScale: 0.3}}, 500, []string{"resnet18 [1 1 1 1] 96/110 by 32 at 0.03 of 0.3, 15-30-180"}},
		{Config{Preparation: Preparation{Augment: "flip"}}, 500, []string{"resnet18 [1 1 1 1] 96/110 by 32 at 0.03 of 0, 15-30-180"}},
		{Config{Model: "resnet34"}, 5000, []string{"resnet34 [] 96/110 by 32 at 0.03 of 0.5, 10-20-120", "resnet34 [] 128/146 by 64 at 0.025 of 0.08, 10-20-120"}},
		{Config{Model: "resnet34", Resize: 64, Preparation: Preparation{ResizeShorter: 80}}, 5000, []string{"resnet34 [] 64/80 by 64 at 0.025 of 0.08, 10-20-120"}},
	} {
		if got := of(c.config, c.pictures); !slices.Equal(got, c.want) {
			t.Errorf("%+v for %d pictures:\n%s\nwant\n%s", c.config, c.pictures, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
	// A setting that was made zero after an optimiser was settled stays so.
	c := Config{Data: dir + "/photos", Forecast: &Forecast{Budget: time.Minute}}.Resolved()
	c.Momentum, c.Nesterov = 0, false
	if o := c.offers(); o[0].Momentum != 0 || o[0].Nesterov || o[0].Epochs != 60 {
		t.Errorf("%+v", o[0])
	}
	// A data set with a name has its model, and a minimum of one epoch.
	c = Config{Data: "garments", Forecast: &Forecast{Budget: time.Minute}}.Resolved()
	if o := c.offers(); len(o) != 1 || o[0].Model != "d2l-bnlenet" || o[0].least != 1 || o[0].most != 30 {
		t.Errorf("%+v", o)
	}
}
