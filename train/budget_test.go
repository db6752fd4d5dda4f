package train

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/train/recipe"
)

// A budget chooses nothing that needs more memory than there is, if that is known.
func TestForecastFits(t *testing.T) {
	for _, c := range []struct {
		memory, needs int64
		want          string
	}{
		{0, 1 << 50, ""},
		{200e6, 200e6, ""},
		{200e6, 300e6, "0.3 GB of memory are needed, and 0.2 GB are free"},
	} {
		err := (&Forecast{Memory: c.memory}).fits(c.needs)
		if m := (*engine.MemoryError)(nil); (err != nil) != (c.want != "") || err != nil && (!errors.As(err, &m) || m.Err.Error() != c.want) {
			t.Errorf("%d of %d bytes: %v", c.needs, c.memory, err)
		}
	}
}

// The offers from which a budget may choose depend on the settings that were not given.
func TestOffers(t *testing.T) {
	dir := t.TempDir()
	if err := folder.Make(t.Context(), dir+"/photos", folder.MakeConfig{PerClass: 4}); err != nil {
		t.Fatal(err)
	}
	of := func(c Config, images int) (all []string) {
		c.Data, c.Forecast = dir+"/photos", &Forecast{Budget: time.Minute}
		c = c.Resolved()
		if c.free.images > 0 { // of a larger folder
			c.free.images = images
			c = c.taking(recipe.ForPhotos(images))
		}
		for _, o := range c.offers() {
			all = append(all, fmt.Sprintf("%s %v %d/%d by %d at %v of %v, %d-%d-%d", o.Model, o.Blocks, o.Resize, o.ResizeShorter, o.Batch, o.LR, o.CropScale, o.MinEpochs, o.EnoughEpochs, o.MaxEpochs))
			if o.Momentum != c.Momentum || o.free == nil {
				t.Errorf("%+v", o)
			}
		}
		return all
	}
	small, middle, large := "resnet18 [1 1 1 1] 96/110 by 32 at 0.05 of 0.5", "resnet18 [] 128/146 by 32 at 0.05 of 0.35", "resnet18 [] 160/160 by 32 at 0.05 of 0.08"
	for _, c := range []struct {
		config Config
		images int
		want   []string
	}{
		{Config{}, 500, []string{small + ", 3-5-30"}},
		{Config{}, 5000, []string{small + ", 10-20-120", middle + ", 10-20-120"}},
		{Config{}, 50000, []string{small + ", 4-7-39", middle + ", 4-7-39", large + ", 4-7-39"}},
		{Config{Epochs: 5}, 5000, []string{small + ", 5-5-5", middle + ", 5-5-5"}},
		{Config{Resize: 64, LR: 0.5, Batch: 16}, 5000, []string{"resnet18 [1 1 1 1] 64/73 by 16 at 0.5 of 0.5, 10-20-120", "resnet18 [] 64/73 by 16 at 0.5 of 0.35, 10-20-120"}},
		{Config{Preparation: Preparation{CropScale: 0.3}}, 500, []string{"resnet18 [1 1 1 1] 96/110 by 32 at 0.05 of 0.3, 3-5-30"}},
		{Config{Preparation: Preparation{Augment: "flip"}}, 500, []string{"resnet18 [1 1 1 1] 96/110 by 32 at 0.05 of 0, 3-5-30"}},
		{Config{Model: "resnet34"}, 5000, []string{"resnet34 [] 96/110 by 32 at 0.05 of 0.5, 10-20-120", "resnet34 [] 128/146 by 32 at 0.05 of 0.35, 10-20-120"}},
		{Config{Model: "resnet34", Resize: 64, Preparation: Preparation{ResizeShorter: 80}}, 5000, []string{"resnet34 [] 64/80 by 32 at 0.05 of 0.35, 10-20-120"}},
	} {
		if got := of(c.config, c.images); !slices.Equal(got, c.want) {
			t.Errorf("%+v for %d images:\n%s\nwant\n%s", c.config, c.images, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
	// A setting that was set to zero after the optimiser was chosen stays zero.
	c := Config{Data: dir + "/photos", Forecast: &Forecast{Budget: time.Minute}}.Resolved()
	c.Momentum, c.Nesterov = 0, false
	if o := c.offers(); o[0].Momentum != 0 || o[0].Nesterov || o[0].Epochs != 10 {
		t.Errorf("%+v", o[0])
	}
	// A data set with a name has one offer, its own model, with at least one epoch.
	c = Config{Data: "garments", Forecast: &Forecast{Budget: time.Minute}}.Resolved()
	if o := c.offers(); len(o) != 1 || o[0].Model != "d2l-bnlenet" || o[0].MinEpochs != 1 || o[0].MaxEpochs != 30 {
		t.Errorf("%+v", o)
	}
}
