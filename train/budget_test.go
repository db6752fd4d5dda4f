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
	of := func(c Config, images, side int) (all []string) {
		c.Data, c.Forecast = dir+"/photos", &Forecast{Budget: time.Minute}
		c = c.Resolved()
		if c.free.images > 0 { // of another folder
			c.free.images, c.free.side = images, side
			c = c.taking(recipe.ForPhotos(images), recipe.Offer{Model: "resnet18", Size: recipe.ForPhotos(images).SizeFor(side)})
		}
		for _, o := range c.offers() {
			all = append(all, fmt.Sprintf("%s %d/%d %s by %d at %v of %v, %.4g-%.4g", o.Model, o.Resize, o.ResizeShorter, o.Augment, o.Batch, o.LR, o.CropScale, o.Enough, o.Most))
			if o.Momentum != c.Momentum || o.free == nil {
				t.Errorf("%+v", o)
			}
		}
		return all
	}
	for _, c := range []struct {
		config       Config
		images, side int
		want         []string
	}{
		{Config{Model: "resnet34"}, 5000, 600, []string{
			"resnet34 64/73 standard by 64 at 0.2 of 0.35, 4-32", "resnet34 64/73 trivial by 64 at 0.2 of 0.35, 6.667-53.33", // an epoch has 6 passes
			"resnet34 96/110 trivial by 64 at 0.2 of 0.35, 7.143-57.14", "resnet34 128/146 trivial by 64 at 0.2 of 0.35, 7.143-57.14"}},
		{Config{Model: "resnet34"}, 500, 600, []string{
			"resnet34 64/73 standard by 32 at 0.1 of 0.5, 1-8", "resnet34 64/73 trivial by 32 at 0.1 of 0.5, 6.667-53.33", "resnet34 96/110 trivial by 32 at 0.1 of 0.5, 7.143-57.14"}},
		{Config{Model: "cifar-resnet20"}, 10_000, 32, []string{"cifar-resnet20 32/32 crop by 64 at 0.2 of 0, 7.5-60"}},
		{Config{Model: "resnet18", Epochs: 5, LR: 0.5, Batch: 16}, 5000, 48, []string{
			"resnet18 48/48 standard by 16 at 0.5 of 0.35, 5-5"}},
		{Config{Resize: 160}, 2500, 600, []string{
			"resnet9-16-s4 160/160 standard by 64 at 0.2 of 0.35, 2-16", "resnet9-16-s4 160/160 trivial by 64 at 0.2 of 0.35, 7.143-57.14",
			"resnet9-32-s4 160/160 trivial by 64 at 0.2 of 0.35, 7.143-57.14", "resnet9-64-s4 160/160 trivial by 64 at 0.2 of 0.35, 7.143-57.14"}},
		{Config{}, 10_000, 32, []string{"resnet9-16 32/32 crop by 64 at 0.2 of 0, 4-32", "resnet9-24 32/32 crop by 64 at 0.2 of 0, 10-80",
			"resnet9-32 32/32 crop by 64 at 0.2 of 0, 7-56", "resnet9-64 32/32 crop by 64 at 0.2 of 0, 7.5-60"}},
		{Config{Resize: 64, Model: "resnet18", Preparation: Preparation{ResizeShorter: 80, CropScale: 0.3}}, 500, 600, []string{"resnet18 64/80 standard by 32 at 0.1 of 0.3, 1-30"}},
	} {
		if got := of(c.config, c.images, c.side); !slices.Equal(got, c.want) {
			t.Errorf("%d images of %d:\n%s\nwant\n%s", c.images, c.side, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
	// A setting that was set to zero after the optimiser was chosen stays zero.
	c := Config{Data: dir + "/photos", Forecast: &Forecast{Budget: time.Minute}}.Resolved()
	c.Momentum, c.Nesterov = 0, false
	if o := c.offers(); o[0].Momentum != 0 || o[0].Nesterov || len(o[0].Length) > 0 {
		t.Errorf("%+v", o[0])
	}
	// A data set with a name has one offer, its own model, with at least one epoch.
	c = Config{Data: "garments", Forecast: &Forecast{Budget: time.Minute}}.Resolved()
	if o := c.offers(); len(o) != 1 || o[0].Model != "d2l-bnlenet" || o[0].Enough != 1 || o[0].Most != 30 {
		t.Errorf("%+v", o)
	}
}
