package train_test

import (
	"context"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/train"
	"github.com/residual-ml/residual/weights/safetensors"
)

// photos makes a folder of images.
func photos(t *testing.T, c folder.MakeConfig) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "photos")
	if err := folder.Make(context.Background(), dir, c); err != nil {
		t.Fatal(err)
	}
	return dir
}

// quick is a training on a folder of images that takes about a second.
func quick(t *testing.T, dir string) train.Config {
	return train.Config{Data: dir, Model: "cifar-resnet8", Resize: 24, Batch: 20, Epochs: 2, Out: t.TempDir()}
}

func TestRunOnPhotos(t *testing.T) {
	dir := photos(t, folder.MakeConfig{PerClass: 6, Turned: 0.3, Broken: 2})
	c := quick(t, dir)
	var start train.Start
	s, err := train.Run(context.Background(), device(t, 2), c, train.Callbacks{OnStart: func(s train.Start) { start = s }})
	if err != nil {
		t.Fatal(err)
	}
	if start.Images != 48 || start.Tests != 10 || len(start.Photos.Report.Broken) != 2 || len(start.Photos.Report.Turned) == 0 {
		t.Errorf("%+v, %+v", start, start.Photos.Report)
	}
	if c := s.Config; c.Augment != "standard" || c.Holdout != 0.2 || c.ResizeShorter != 27 || c.Momentum != 0.9 || !c.Nesterov || c.Optimizer != "sgd" || c.Channels != 3 {
		t.Errorf("settings %+v", c)
	}
	skipped := read(t, filepath.Join(s.Dir, train.SkippedFile))
	if lines := strings.Split(strings.TrimSpace(skipped), "\n"); len(lines) != 3 || lines[0] != "path,error" || !strings.HasPrefix(lines[1], start.Photos.Report.Broken[0].Name+",") {
		t.Errorf("skipped.csv:\n%s", skipped)
	}
	if lines := strings.Count(read(t, filepath.Join(s.Dir, folder.RecordFile)), "\n"); lines != 59 {
		t.Errorf("the record has %d lines", lines)
	}
	m, f, err := checkpoint.LoadModel(s.Last)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if p := m.Preprocess; m.Dataset != "photos/" || m.Classes[0] != "ankle-boot" || p.ResizeShorter != 27 || m.Height != 24 || p.Resize != 0 || p.Mean[0] != 0.485 || p.Std[2] != 0.225 {
		t.Errorf("the model says %+v", m)
	}
}

// An interrupted run on a user's own images is resumed, from another working folder, with the
// same images in each part and the same bits.
func TestResumeOnPhotos(t *testing.T) {
	dir := photos(t, folder.MakeConfig{PerClass: 5})
	dev := device(t, 2)
	c := quick(t, dir)
	c.Epochs, c.Augment, c.RandomErasing = 3, "trivial", 0.5
	uninterrupted, err := train.Run(context.Background(), dev, c, train.Callbacks{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s, err := train.Run(ctx, dev, c, train.Callbacks{OnEpoch: func(train.Epoch) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	saved, err := train.OpenRun(s.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "bag", "zzz.jpg"), []byte(read(t, filepath.Join(dir, "bag", "0000.jpg"))), 0o666); err != nil {
		t.Fatal(err) // a new image does not belong to the run
	}
	if _, err := saved.Resume(context.Background(), dev, saved.Config, train.Callbacks{}); err != nil {
		t.Fatal(err)
	}
	if read(t, filepath.Join(s.Dir, "last.safetensors")) != read(t, uninterrupted.Last) {
		t.Error("other weights than those of the run that was not interrupted")
	}

	// With a changed image it cannot be resumed.
	saved.Config.Epochs = 4
	if err := os.Rename(filepath.Join(dir, "bag", "zzz.jpg"), filepath.Join(dir, "coat", "0000.jpg")); err != nil {
		t.Fatal(err)
	}
	if _, err := saved.Resume(context.Background(), dev, saved.Config, train.Callbacks{}); err == nil || !strings.Contains(err.Error(), filepath.Join("coat", "0000.jpg")+": has changed") {
		t.Error(err)
	}
	d := saved.Config
	d.Augment = "flip"
	if err := saved.Check(d); err == nil || !strings.Contains(err.Error(), "Augment flip: ") {
		t.Error(err)
	}
}

// An image that changes during the training ends the run, which keeps the epochs before.
func TestChangingPhotos(t *testing.T) {
	dir := photos(t, folder.MakeConfig{PerClass: 4})
	c := quick(t, dir)
	c.Epochs = 5
	s, err := train.Run(context.Background(), device(t, 2), c, train.Callbacks{OnEpoch: func(e train.Epoch) {
		if e.Epoch == 2 {
			if err := os.Remove(filepath.Join(dir, "coat", "0002.jpg")); err != nil {
				t.Error(err)
			}
		}
	}})
	if err == nil || !strings.Contains(err.Error(), filepath.Join("coat", "0002.jpg")+": is no longer there") || !strings.Contains(err.Error(), "the weights of epoch 3 are in") && !strings.Contains(err.Error(), "the weights of epoch 2 are in") || s.Epochs == 5 {
		t.Errorf("after %d epochs: %v", s.Epochs, err)
	}
	if st, err := checkpoint.ReadState(filepath.Join(s.Dir, train.StateFile)); err != nil || st.Epoch != 2 {
		t.Errorf("the state is of epoch %d: %v", st.Epoch, err)
	}
}

// Labels of a test folder that lacks classes are found by the names of the classes: the folder
// is a copy of three of the training's classes, so the accuracy is near 1.
func TestValidationMissesClasses(t *testing.T) {
	made, dir := photos(t, folder.MakeConfig{PerClass: 6}), t.TempDir()
	copied := func(to, from string) {
		if err := os.CopyFS(filepath.Join(dir, to), os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
	copied("train", made)
	for _, class := range []string{"coat", "trouser", "sneaker"} {
		copied(filepath.Join("val", class), filepath.Join(made, class))
	}
	c := quick(t, dir)
	c.Epochs, c.Augment, c.LR = 40, "none", 0.02
	s, err := train.Run(context.Background(), device(t, 2), c, train.Callbacks{})
	if err != nil {
		t.Fatal(err)
	}
	if s.Accuracy < 0.9 || s.BestAccuracy < 0.9 {
		t.Errorf("train accuracy %v, best accuracy on the same images of three classes %v", s.Accuracy, s.BestAccuracy)
	}
}

// If the classes are those of the first weights, they keep their order in the last layer;
// other classes get a new last layer.
func TestWeightsForPhotos(t *testing.T) {
	dir := photos(t, folder.MakeConfig{PerClass: 3})
	c := quick(t, dir)
	s, err := train.Run(context.Background(), device(t, 2), c, train.Callbacks{})
	if err != nil {
		t.Fatal(err)
	}
	m, f, err := checkpoint.LoadModel(s.Last)
	if err != nil {
		t.Fatal(err)
	}
	tensors, err := f.Tensors()
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	var values []tensor.Named
	for name, v := range tensors {
		values = append(values, tensor.Named{Name: name, Tensor: v})
	}
	begin := func(change func(*checkpoint.Model)) (train.Start, checkpoint.Model) {
		t.Helper()
		from := m
		from.Classes = slices.Clone(m.Classes)
		change(&from)
		path := filepath.Join(t.TempDir(), "from.safetensors")
		if err := checkpoint.SaveModel(path, from, values); err != nil {
			t.Fatal(err)
		}
		var start train.Start
		c := train.Config{Data: dir, Weights: path, Epochs: 1, Batch: 20, Out: t.TempDir()}
		s, err := train.Run(context.Background(), device(t, 2), c, train.Callbacks{OnStart: func(s train.Start) { start = s }})
		if err != nil {
			t.Fatal(err)
		}
		got, f, err := checkpoint.LoadModel(s.Last)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		return start, got
	}
	start, got := begin(func(m *checkpoint.Model) { slices.Reverse(m.Classes) })
	if len(start.Changes) != 0 || got.Classes[9] != "ankle-boot" || start.Config.Model != "cifar-resnet8" || start.Config.Resize != 24 || start.Config.ResizeShorter != 27 {
		t.Errorf("classes %v, changes %q, %+v", got.Classes, start.Changes, start.Config)
	}
	start, got = begin(func(m *checkpoint.Model) { m.Classes[4] = "cape"; m.Preprocess.Mean = []float64{0.5, 0.5, 0.5} })
	if len(start.Changes) != 1 || !strings.Contains(start.Changes[0], "the last layer fc is new, for 10 classes: the file's have other names") || got.Classes[0] != "ankle-boot" ||
		got.Preprocess.Mean[0] != 0.5 {
		t.Errorf("changes %q, %+v", start.Changes, got)
	}
	start, got = begin(func(m *checkpoint.Model) { m.Preprocess.Mean, m.Preprocess.Std = nil, nil })
	if p := got.Preprocess; len(start.Changes) != 0 || !slices.Equal(p.Mean, []float64{0, 0, 0}) || !slices.Equal(p.Std, []float64{1, 1, 1}) {
		t.Errorf("from a network without normalisation: changes %q, %+v", start.Changes, p)
	}
}

// The model of a file that holds weights alone is found by their names and shapes. A backbone
// gets a new last layer, and the changes say so.
func TestBackboneForPhotos(t *testing.T) {
	e, err := models.Lookup("cifar-preresnet20")
	if err != nil {
		t.Fatal(err)
	}
	m := e.New(models.Config{Blocks: []int{1, 2, 1}})
	nn.Init(m, 3, nn.KaimingNormal)
	backbone := slices.DeleteFunc(nn.StateDict(m), func(s tensor.Named) bool { return strings.HasPrefix(s.Name, "fc.") })
	path := filepath.Join(t.TempDir(), "backbone.safetensors")
	if err := checkpoint.WriteFile(path, func(w io.Writer) error { return safetensors.Write(w, backbone, nil) }); err != nil {
		t.Fatal(err)
	}
	c := quick(t, photos(t, folder.MakeConfig{PerClass: 3}))
	c.Model, c.Weights, c.Epochs, c.LR = "", path, 1, 1e-30 // so that the weights stay
	var start train.Start
	s, err := train.Run(context.Background(), device(t, 2), c, train.Callbacks{OnStart: func(s train.Start) { start = s }})
	if err != nil {
		t.Fatal(err)
	}
	if c := start.Config; c.Model != e.Name || !slices.Equal(c.Blocks, []int{1, 2, 1}) {
		t.Errorf("%s with blocks %v", c.Model, c.Blocks)
	}
	if len(start.Changes) != 2 || start.Changes[0] != "the last layer fc is new, for 10 classes: the file has none" {
		t.Errorf("changes %q", start.Changes)
	}
	got, f, err := checkpoint.LoadModel(s.Last)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	first, err := f.Tensor("conv1.weight")
	if err != nil || len(got.Classes) != 10 || !slices.Equal(got.Blocks, []int{1, 2, 1}) || !slices.Equal(first.Data(), nn.Parameters(m)[0].Value.Data()) {
		t.Errorf("%v, %+v", err, got)
	}
	c.Model = "cifar-resnet20"
	if _, err := train.Run(context.Background(), device(t, 2), c, train.Callbacks{}); err == nil ||
		!strings.Contains(err.Error(), "it holds the weights of CIFAR pre-activation ResNet like cifar-preresnet20 with 1, 2, 1 blocks a stage without its last layer") {
		t.Errorf("as another model: %v", err)
	}
	// If a file beside the weights names another network, the error is about that one.
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "config.json"), []byte(`{"architecture": "resnetaa50"}`), 0o666); err != nil {
		t.Fatal(err)
	}
	c.Model = ""
	if _, err := train.Run(context.Background(), device(t, 2), c, train.Callbacks{}); err == nil || !strings.Contains(err.Error(), `config.json beside the weights says "architecture": "resnetaa50"`) {
		t.Errorf("weights of a network that is not computed: %v", err)
	}
}

func TestPhotosRefused(t *testing.T) {
	dir := photos(t, folder.MakeConfig{PerClass: 4, Broken: 3})
	for _, bad := range []struct {
		change func(*train.Config)
		want   string
	}{
		{func(c *train.Config) {}, "3 of the 40 images"},
		{func(c *train.Config) { c.Data = dir + "/none" }, "Data: "},
		{func(c *train.Config) { c.Holdout = 1 }, "Holdout 1: must be a share"},
		{func(c *train.Config) { c.Augment = "wild" }, "none, flip, crop, shift, standard, trivial, rand"},
		{func(c *train.Config) { c.Mixup = -1 }, "Mixup -1"},
		{func(c *train.Config) { c.CutMix = math.NaN() }, "CutMix NaN"},
		{func(c *train.Config) { c.RandomErasing = 2 }, "RandomErasing 2"},
		{func(c *train.Config) { c.CropScale = 1.5 }, "CropScale 1.5"},
		{func(c *train.Config) { c.ResizeShorter = 20 }, "ResizeShorter 20"},
		{func(c *train.Config) { c.Interpolation = "nearest" }, "Interpolation nearest"},
		{func(c *train.Config) { c.Channels = 4 }, "Channels 4"},
		{func(c *train.Config) { c.Mean = []float64{0.5} }, "Mean of 1 and Std of 0"},
		{func(c *train.Config) { c.Mean, c.Std = []float64{0.5}, []float64{0.5} }, "for images of 3"},
		{func(c *train.Config) { c.Mean, c.Std = []float64{0, 0, 0}, []float64{1, 0, 1} }, "Std 1,0,1: must be"},
		{func(c *train.Config) { c.Data, c.Holdout, c.Model, c.Resize = "garments", 0.1, "", 0 }, "Holdout is for images of your own"},
		{func(c *train.Config) { c.Data, c.Channels, c.Model, c.Resize = "garments", 1, "", 0 }, "Channels is for images of your own"},
	} {
		c := quick(t, dir)
		bad.change(&c)
		_, err := train.Run(context.Background(), device(t, 1), c, train.Callbacks{})
		if err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%v, want %s", err, bad.want)
		}
		if entries, err := os.ReadDir(c.Out); err == nil && len(entries) > 0 {
			t.Errorf("%s: files were left: %v", bad.want, entries)
		}
	}
}

// Settings that are not given depend on the number of images, and resolving them again changes
// nothing.
func TestPhotoRecipes(t *testing.T) {
	dir := photos(t, folder.MakeConfig{PerClass: 5})
	c := train.Config{Data: dir}.Resolved()
	if c.Model != "resnet18" || !slices.Equal(c.Blocks, []int{1, 1, 1, 1}) || c.Resize != 96 || c.ResizeShorter != 110 || c.Batch != 32 || c.Epochs != 10 || c.Repeat != 48 || c.LR != 0.05 || c.CropScale != 0.5 ||
		c.Schedule != "cosine,warmup=0.05" || c.Init != "kaiming-normal" {
		t.Errorf("%+v", c)
	}
	if again := c.Resolved(); again.Resize != c.Resize || again.Blocks[0] != 1 || again.LR != c.LR || again.Repeat != c.Repeat || again.Epochs != c.Epochs {
		t.Errorf("resolved again: %+v", again)
	}
	c = train.Config{Data: dir, Model: "resnet34", Optimizer: "sgd", TrainSize: 20}.Resolved()
	if c.Blocks != nil || c.Batch != 20 || c.Momentum != 0 || c.Nesterov || c.WeightDecay != 0 {
		t.Errorf("with a model and an optimiser: %+v", c)
	}
	// What is given wins, each by itself: epochs are then of one pass.
	c = train.Config{Data: dir, Epochs: 7, LR: 0.2}.Resolved()
	if c.Epochs != 7 || c.Repeat != 0 || c.LR != 0.2 || c.Batch != 32 {
		t.Errorf("with epochs and a rate: %+v", c)
	}
	c = train.Config{Data: dir, Repeat: 1, Batch: 8, Optimizer: "adamw"}.Resolved()
	if c.Epochs != 120 || c.Repeat != 0 || c.Batch != 8 || c.LR != 0.0005 {
		t.Errorf("with one pass, a batch and an optimiser: %+v", c)
	}
	c = train.Config{Data: dir, Batch: 8, Accumulate: 4}.Resolved()
	if c.LR != 0.05 {
		t.Errorf("four batches of 8 are a step at the rate %v", c.LR)
	}
	c = train.Config{Data: dir, Freeze: train.FreezeBackbone}.Resolved()
	if c.Augment != "none" {
		t.Errorf("a frozen backbone with the augmentation %s", c.Augment)
	}
	c = train.Config{Data: dir, Model: "d2l-bnlenet"}.Resolved()
	if c.Resize != 28 || c.Check() != nil {
		t.Errorf("a network of a fixed size: %+v, %v", c, c.Check())
	}
}
