package train

import (
	"cmp"
	"math"
	"path/filepath"
	"slices"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/exchange"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/prepare"
)

// IsPhotos says whether Data names images of the user's own; see folder.IsPath.
func (c Config) IsPhotos() bool { return !c.ownData() && folder.IsPath(c.Data) }

// PhotoRecipe is what suits an amount of images.
type PhotoRecipe struct {
	Most          int // pictures to train on; 0 in the last
	Model         string
	Blocks        []int // nil: the model's own
	Resize, Batch int
	Epochs        int
	Tuned         int // epochs from the weights of a file
	CropScale     float64
	Rate          float64 // for every 256 images of a batch
}

// PhotoRecipes are the settings for a user's own images, by how many there are to
// train on: the more, the larger the net and the images, and the fewer the epochs. The
// learning rate is 0.1 for a batch of 256 and goes with the batch (Goyal et al.,
// https://arxiv.org/abs/1706.02677, section 2.1); from the weights of a file it is a
// tenth of that. Few images are learnt in few steps, so these are longer, and a crop
// takes half of an image at least: docs/photos.md has what that was measured to gain.
func PhotoRecipes() []PhotoRecipe {
	return []PhotoRecipe{
		{Most: 1000, Model: "resnet18", Blocks: []int{1, 1, 1, 1}, Resize: 96, Batch: 32, Epochs: 60, Tuned: 20, CropScale: 0.5, Rate: 0.24},
		{Most: 10_000, Model: "resnet18", Resize: 128, Batch: 64, Epochs: 40, Tuned: 15, CropScale: 0.08, Rate: 0.1},
		{Model: "resnet18", Resize: 224, Batch: 128, Epochs: 30, Tuned: 10, CropScale: 0.08, Rate: 0.1},
	}
}

// tunedRate is the learning rate from the weights of a file, for every 256 images of a batch.
const tunedRate = 0.01

func photoRecipeFor(pictures int) PhotoRecipe {
	all := PhotoRecipes()
	i := slices.IndexFunc(all, func(r PhotoRecipe) bool { return pictures <= r.Most })
	if i < 0 {
		i = len(all) - 1
	}
	return all[i]
}

// resolvedPhotos is Resolved for a user's own images. Only where the settings depend on
// how many there are does it look; what is wrong with the folder is said when it is
// opened.
func (c Config) resolvedPhotos() Config {
	if path, err := filepath.Abs(c.Data); err == nil {
		c.Data = path // for a run that goes on from elsewhere
	}
	from, fromFile := c.fileModel()
	if fromFile {
		c = c.likeFile(from)
	}
	c = c.noting()
	c.Holdout = cmp.Or(c.Holdout, 0.2)
	c.Cache = cmp.Or(c.Cache, CacheAuto)
	if path, err := filepath.Abs(c.Cache); err == nil && c.Cache != CacheAuto && c.Cache != CacheOff {
		c.Cache = path
	}
	c.Augment = cmp.Or(c.Augment, "standard")
	if c.Model == "" || c.Resize == 0 || c.Batch == 0 || c.Epochs == 0 || c.LR == 0 || c.crops() && c.CropScale == 0 {
		c = c.sized()
	}
	c.Channels = cmp.Or(c.Channels, 3)
	c.ResizeShorter = cmp.Or(c.ResizeShorter, (c.Resize*256+112)/224)
	c.Interpolation = cmp.Or(c.Interpolation, "bilinear")
	if len(c.Mean)+len(c.Std) == 0 {
		n := transforms.ImageNet()
		if c.Channels == 1 { // the mean of the three, as timm has it
			n = transforms.Normalize{Mean: []float64{0.449}, Std: []float64{0.226}}
		}
		c.Mean, c.Std = n.Mean, n.Std
	}
	if c.Optimizer == "" { // with all that belongs to it; beside an optimiser that is given a 0 is a 0
		c.Optimizer, c.Nesterov = "sgd", true
		c.Momentum = cmp.Or(c.Momentum, 0.9)
		c.WeightDecay = cmp.Or(c.WeightDecay, 1e-4)
		c.LabelSmoothing = cmp.Or(c.LabelSmoothing, 0.1)
	}
	c.Schedule = cmp.Or(c.Schedule, "cosine,warmup=0.05")
	if c.Module == nil { // one of the program's own begins with the values it has
		c.Init = cmp.Or(c.Init, nn.KaimingNormal.String())
	}
	return c
}

// fileModel is what the file of the first weights says of its model, where it does.
func (c Config) fileModel() (m checkpoint.Model, ok bool) {
	if c.Weights == "" {
		return m, false
	}
	m, f, err := checkpoint.LoadModel(c.Weights)
	if err != nil {
		return m, false
	}
	f.Close()
	return m, true
}

// recognised takes the model of a file that holds weights alone, where no model was
// chosen and the file's names and shapes are those of one.
func (c Config) recognised() Config {
	if c.Weights == "" || c.Model != "" || c.Module != nil {
		return c
	}
	if _, ok := c.fileModel(); ok {
		return c // which says it itself
	}
	// What is wrong is said where the weights are read, of the model whose names they have.
	found, _ := exchange.Identify(c.Weights)
	if len(found) != 1 {
		return c
	}
	c.Model = found[0].Entry.Name
	if c.Blocks == nil {
		c.Blocks = found[0].Config.Blocks
	}
	return c
}

// likeFile takes the model of the first weights and prepares images as it wants them.
func (c Config) likeFile(m checkpoint.Model) Config {
	if c.Model == "" {
		c.Model = m.Architecture
	}
	if c.Model == m.Architecture && c.Blocks == nil {
		c.Blocks = m.Blocks
	}
	c.Channels = cmp.Or(c.Channels, m.Channels)
	p := m.Preprocess
	if len(c.Mean)+len(c.Std) == 0 && c.Channels == m.Channels && p.Scale == prepare.UnitScale {
		c.Mean, c.Std = p.Mean, p.Std
		for len(c.Mean) < m.Channels { // without either pixels stay as they are
			c.Mean = append(c.Mean, 0)
		}
		for len(c.Std) < m.Channels {
			c.Std = append(c.Std, 1)
		}
	}
	if c.Resize == 0 || c.Resize == m.Height {
		c.Resize = m.Height
		if p.ResizeShorter >= m.Height {
			c.ResizeShorter = cmp.Or(c.ResizeShorter, p.ResizeShorter)
		}
	}
	if p.ResizeShorter > 0 && (p.Interpolation == "bilinear" || p.Interpolation == "bicubic") { // which trainings can do
		c.Interpolation = cmp.Or(c.Interpolation, p.Interpolation)
	}
	return c
}

// pictures counts what there is to train on.
func (c Config) pictures() (n int) {
	if c.free != nil && c.free.pictures > 0 { // they were counted
		return c.free.pictures
	}
	x, err := folder.Scan(c.Data)
	if err != nil {
		x = &folder.Index{}
	}
	for _, count := range x.Counts(data.Train) {
		n += count
		if !x.Tested {
			n -= folder.HeldOut(count, c.Holdout)
		}
	}
	if c.TrainSize > 0 {
		n = min(n, c.TrainSize)
	}
	return n
}

// rateOf is the learning rate for c's batch.
func (r PhotoRecipe) rateOf(c Config) float32 {
	rate := r.Rate
	if c.Weights != "" {
		rate = tunedRate
	}
	return float32(math.Round(rate*float64(c.Batch)/256*1e5) / 1e5)
}

// sized fills in what depends on how many images there are.
func (c Config) sized() Config {
	n := c.pictures()
	r := photoRecipeFor(n)
	if c.Model == "" || c.Resize == 0 || c.Batch == 0 || c.Epochs == 0 {
		c.chosenFor = n
	}
	if c.Model == "" {
		c.Model = r.Model
		if c.Blocks == nil {
			c.Blocks = r.Blocks
		}
	}
	if e, err := models.Lookup(c.Model); err == nil && e.FixedSize {
		c.Resize = cmp.Or(c.Resize, e.Height)
	}
	c.Resize = cmp.Or(c.Resize, r.Resize)
	c.Batch = cmp.Or(c.Batch, min(r.Batch, max(n, 1)))
	if c.Weights != "" {
		r.Epochs = r.Tuned
	}
	c.Epochs = cmp.Or(c.Epochs, r.Epochs)
	c.LR = cmp.Or(c.LR, r.rateOf(c))
	if c.crops() {
		c.CropScale = cmp.Or(c.CropScale, r.CropScale)
	}
	if c.free != nil && c.free.pictures == 0 {
		f := *c.free
		f.pictures, c.free = n, &f
	}
	return c
}
