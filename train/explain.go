package train

import (
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/residual-ml/residual/train/settings"
)

// RecipeFile is the file of a run folder that says in words what the training does, which of
// its settings were given and which were chosen, and what they are for.
const RecipeFile = "recipe.txt"

// purposes says for newcomers what a setting is for, by its field, and why it is as it is.
var purposes = map[string]string{
	"Model":          "the network: a larger one needs more images and more time for each",
	"Blocks":         "how deep each stage of the network is",
	"Init":           "the random weights that the training starts from, scaled so that no layer begins too loud or too quiet",
	"Resize":         "pixels of each side of the images: larger images show more, and the time grows with the square of the side",
	"Progressive":    "pixels of the images in the first epochs: small images take little time, and the last epochs see all that there is",
	"EvalSize":       "pixels of the images that the model is tested on and used for: objects look as large there as in the random crops of a smaller size",
	"ResizeShorter":  "test images are resized to this shorter side, and their middle is cut out, so that objects are about as large as in random crops",
	"Channels":       "1 for grey images, 3 for colour",
	"Interpolation":  "how images are resized",
	"Mean":           "is subtracted from the pixels of each channel, so that they are about 0",
	"Std":            "divides the pixels of each channel, so that they are about as large as 1",
	"Holdout":        "share of your images that the training never sees: what it says of the accuracy is measured on them",
	"Epochs":         "how often the training goes through all images: few images are seen more often, so that there are enough steps",
	"Batch":          "images of one step: more make steadier steps, but fewer of them",
	"LR":             "how far a step moves the weights: it goes by the batch and the optimiser; with too small a rate the network learns little, with too large a one the loss rises",
	"Schedule":       "how the rate changes: large steps find the region, small ones at the end settle in it",
	"Optimizer":      "how a step follows from the gradients",
	"Momentum":       "share of the step before that each step keeps, so that the way is smoother",
	"Nesterov":       "looks a step ahead with that momentum",
	"WeightDecay":    "pulls the weights towards 0, so that the network does not learn its images by heart",
	"LabelSmoothing": "share of each label that is spread over all classes, so that the network is not surer than it should be",
	"Augment":        "random changes of the images, so that the network sees no image twice the same and learns what does not matter",
	"CropScale":      "the smallest share of an image that a random crop shows: with few images a crop must show enough of the object",
	"Weights":        "the training starts with what another one has learned",
	"Freeze":         "layers that keep their weights",
	"Sampler":        "which images an epoch has",
	"ClassWeights":   "how much each class counts",
	"Recipe":         "settings for the least time",
	"Lookahead":      "every few steps the training goes back to slow weights, which become an average towards the end",
	"NormBiasRate":   "factor of the rate of the biases of batch norms, which learn more slowly than other weights",
	"EMA":            "the weights that are saved are a moving average, which is steadier than any step",
	"Metric":         "the measure on the test images by which the best epoch is chosen",
	"Patience":       "epochs without a better one after which the training ends",
	"Seed":           "the same seed gives the same bits",
}

// explain writes RecipeFile.
func (j *job) explain(w io.Writer, s Start) error {
	var b strings.Builder
	fmt.Fprintf(&b, "What this training does, and why\n\n")
	batches := j.trainer.Batches()
	fmt.Fprintf(&b, "%d images to train on, %d to test on. %d epochs of %d batches are %d steps; every image is seen about %d times.\n",
		s.Images, s.Tests, j.Epochs, batches, batches*j.Epochs, j.Epochs)
	if j.photos != nil && j.photos.ChosenFor > 0 {
		fmt.Fprintf(&b, "The recipe goes by the number of images to train on, %d.\n", j.photos.ChosenFor)
	}
	for _, line := range slices.Concat(j.chosen, s.Changes) {
		fmt.Fprintf(&b, "%s\n", line)
	}
	var given, chosen []settings.Setting
	is := reflect.ValueOf(j.Config)
	for _, row := range settings.Table() {
		switch field := is.FieldByName(row.Field); {
		case !row.Result && row.Field != "Epochs" && row.Field != "Patience" || row.Group == settings.NoFlag || row.Group == settings.Device || row.Field == "Out" || field.IsZero() && row.Field != "Seed":
		case j.asked[row.Field]:
			given = append(given, row)
		default:
			chosen = append(chosen, row)
		}
	}
	for _, part := range []struct {
		title string
		rows  []settings.Setting
	}{{"Chosen for you; what you give instead wins:", chosen}, {"Given by you:", given}} {
		if len(part.rows) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n%s\n", part.title)
		for _, row := range part.rows {
			purpose := purposes[row.Field]
			if purpose == "" {
				purpose = row.Help
			}
			fmt.Fprintf(&b, "  %s: %s\n      %s.\n", row.Key, valueText(is.FieldByName(row.Field)), purpose)
		}
	}
	fmt.Fprintf(&b, "\nsettings.yaml has all settings, and docs/settings.md explains each.\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// valueText writes the value of a setting as its flag takes it.
func valueText(v reflect.Value) string {
	if v.Kind() != reflect.Slice {
		return fmt.Sprint(v.Interface())
	}
	var parts []string
	for i := range v.Len() {
		parts = append(parts, fmt.Sprint(v.Index(i).Interface()))
	}
	return strings.Join(parts, ",")
}
