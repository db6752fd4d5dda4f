// Package recipe holds the settings by which a training suits its data where the user leaves
// them open: those of a data set with a name (For), those of a user's own images by how many
// there are (ForPhotos), and the random changes that augment images (Augment). All of it is
// pure values: the package reads no files and knows no flags.
//
//	r := recipe.For(recipe.Model("cifar10"), "cifar10") // 164 epochs in batches of 128
//	p := recipe.ForPhotos(2500)                         // resnet18 at 128x128 pixels
//	fmt.Println(r.LR, p.LR(p.Batch, false))             // 0.1 0.025
//
// Package train asks for the fields of train.Config that are zero.
package recipe

import (
	"strings"

	"github.com/residual-ml/residual/nn"
)

// Recipe is what a training does unless its settings say otherwise.
type Recipe struct {
	Resize, Batch int // pixels of both sides of the images, and images in a batch
	LR            float32
	Epochs        int
	Schedule      string // as optim.ParseSchedule reads it

	Optimizer             string // as optim.New takes it
	Momentum, WeightDecay float32
	Nesterov              bool
	LabelSmoothing        float64

	Init    nn.Scheme
	Augment string // one of Augmentations
}

// Model returns the name of the model that suits a data set.
func Model(set string) string {
	switch set {
	case "garments", "mnist":
		return "d2l-bnlenet"
	case "cifar10", "cifar100":
		return "cifar-resnet20"
	}
	return "d2l-resnet18"
}

// For returns the recipe of a model on a data set: for CIFAR that of its paper, for the few
// small images of garments one that reaches 94% and more in about a minute, and otherwise
// that of Dive into Deep Learning. set is empty for a data set of the program's own.
func For(model, set string) Recipe {
	r := Recipe{Resize: 96, Batch: 256, LR: 0.05, Epochs: 10, Schedule: "constant", Optimizer: "sgd", Init: nn.XavierUniform, Augment: "none"}
	small, cifar := set == "garments", strings.HasPrefix(set, "cifar")
	if cifar {
		r.Augment = "crop"
	}
	switch {
	case model == "d2l-bnlenet": // d2l, section 8.5
		r.Resize, r.LR = 28, 1
		if small {
			r.Batch, r.Schedule = 64, "cosine"
		}
	case cifar: // He et al. 2015, section 4.2: 64,000 steps, the rate a tenth from 32,000 and from 48,000
		r.Resize, r.Batch, r.LR, r.Epochs, r.Schedule = 32, 128, 0.1, 164, "step,gamma=0.1,at=0.5,at=0.75"
		r.Momentum, r.WeightDecay, r.Init = 0.9, 1e-4, nn.KaimingNormal
	case small:
		r.Resize, r.Batch, r.Epochs, r.Schedule = 28, 64, 3, "cosine"
	}
	return r
}
