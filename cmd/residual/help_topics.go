package main

import (
	"fmt"

	"github.com/residual-ml/residual/report"
	"github.com/residual-ml/residual/train/recipe"
)

// topic is a page of help about something that concerns several commands.
type topic struct {
	name, about string
	text        func(width int) string // lines that begin with two spaces stay lines
	commands    []string               // whose help points to it
}

// constant returns the text of a topic that does not depend on the width.
func constant(text string) func(int) string { return func(int) string { return text } }

// trainings are the commands that train by the settings of `residual train`.
var trainings = []string{"residual train", "residual lr-find", "residual study grow"}

var topics = []topic{
	{"photos", "how images of your own are found, divided and prepared", photosTopic, append([]string{"residual data check"}, trainings...)},
	{"fine-tuning", "start from weights, freeze layers, and let layers learn at different rates", constant(fineTuningTopic), trainings},
	{"precision", "int8, bf16 and fp32, devices and kernels, and how to need less memory", constant(precisionTopic), append([]string{"residual eval", "residual predict", "residual bench", "residual quantize"}, trainings...)},
	{"schedules", "learning rates over a training, how to find one, and when to end", constant(schedulesTopic), trainings},
	{"resume", "interrupted runs, run folders, exit statuses and settings in a file", constant(resumeTopic), trainings},
}

// photosTopic explains trainings on images of the user's own.
func photosTopic(width int) string {
	t := report.NewTable(report.Column{Title: "images"}, report.Column{Title: "model"}, report.Column{Title: "size", Align: report.Right},
		report.Column{Title: "crops from", Align: report.Right})
	t.Indent = 2
	most := 0
	for _, r := range recipe.AllPhotos() {
		images, model := fmt.Sprint("to ", report.Count(int64(r.MaxImages))), r.Model
		if r.MaxImages == 0 {
			images = "more than " + report.Count(int64(most))
		}
		if most = r.MaxImages; r.Blocks != nil {
			model += ", blocks " + joinInts(r.Blocks)
		}
		t.Row(images, model, fmt.Sprint(r.Resize), fmt.Sprint(r.CropScale))
	}
	return photosFound + "\n\n" + t.Fit(width) + "\n" + steps() + "\n\n" + photosTrained
}

// steps explains recipe.Rule.
func steps() string {
	s, t := recipe.Scratch(), recipe.Tuned()
	return fmt.Sprintf(`A training counts steps, of %d images at the learning rate %v: at least %s of them, and %v passes over the images where that is
more, or %v with --weights. From %s images on the passes become fewer. The rate is proportional to --batch. Of few images a pass
is a few steps, so an epoch has several passes (--repeat); if you give --epochs, each is one pass.`,
		s.Batch, s.Rate, report.Count(int64(s.Steps)), s.Passes, t.Passes, report.Count(int64(s.Large)))
}

const photosFound = `Images of your own are JPEG, PNG, GIF, WebP, BMP or TIFF files:

  in one folder for each class: photos/cat/1.jpg, photos/dog/2.jpg;
  in such folders inside of train/ and val/ or test/;
  in a CSV or JSON-lines list with path, label and, if you like, split.

  residual data make photos/
  residual data check photos/
  residual train --data photos/
  residual predict last more-photos/

Parts may have other names, such as Training_set, dev, seg_test or holdout. Of val and test a training tests on val. Where you
do not say which images are for testing, --holdout of each class is tested on, and near-duplicates are on one side. The first
lines of a training say which folders are what, what is not used, and which classes have no test images.

All images are read once at first. Those that cannot be read are named in skipped.csv of the run and left out, unless they are
more than 5% or a whole class. pictures.csv has the part and the digest of every image: an image or a label that changes during
the run ends it, for no epoch of it could be made again. Images that were moved are known by their content.

The images are augmented and normalised as in torchvision's reference training. What you do not give goes by how many images
there are to train on:`

const photosTrained = `The optimiser is SGD with Nesterov momentum 0.9, weight decay 0.0005 and label smoothing 0.1; with --optimizer these are as you
give them. The rate follows a cosine after 5% of warm-up. A random crop takes at least that share of the area (--crop-scale). A
model file given as --weights also settles the size and the normalisation.

--budget 10m chooses a training that ends in that time, the report included: the largest net and size that get enough passes
over the images at the speed of this machine, and none that needs more memory than is free. While it goes on, it becomes longer
or shorter with the machine's speed; length in settings.yaml keeps what was decided. Of other data, and of what you give
yourself, it chooses the length alone. --dry-run shows data, settings and an estimate of time
and memory, and writes nothing.

Large images are kept decoded in a cache (--cache, --cache-size, ` + "`residual data cache`" + `), which never changes a result.`

const fineTuningTopic = `--weights starts from the weights in a file in place of new ones:

  residual train --data photos/ --weights runs/train-1
  residual train --data photos/ --weights last --freeze backbone
  residual train --model resnet18 --weights resnet18.pth --lr 0.01

A run folder stands for its best model, and last for that of the newest run. Of a model file training takes the model, the
blocks, the data set and the size of the images, too, unless you give them. A file of another program, such as a .pth, holds
weights alone: its model is found by their names and shapes, or given with --model.

A last layer for other classes is new, and so is one that is missing, of a backbone. A first layer for colours is made one for
grey, or the other way round. Each is said; whatever else is missing or does not fit is an error. If the last layer is new, a
linear classifier on the file's features is compared with one on those of new weights, and where they do not help that is said.

On images of your own all layers are trained at one rate, as in ` + "`residual help photos`" + `. --freeze backbone trains the last layer
alone, on images that are not augmented: their features are computed once, and the rest takes seconds. --freeze stem, or
prefixes of the parameters' names such as conv1,bn1,layer1, leave out less. --backbone-lr-scale 0.1 and --layer-decay 0.8 let
layers that have learned before change less than new ones. ` + "`residual lr-find`" + ` with the same flags finds a learning rate.

` + "`residual pull`" + ` fetches weights, and ` + "`residual import`" + ` makes a model file of them.`

const precisionTopic = `--precision says in which numbers a net computes:

  int8  integers of 8 bits, of a model that ` + "`residual quantize`" + ` made; what it leaves is in bf16
  bf16  activations in bfloat16, products summed in fp32, weights in fp32: half the memory
  fp32  all in float32
  tf32  products of fp32 numbers on the tensor cores of a GPU; only on GPUs
  auto  int8 for such a model, else bf16 where that is faster, which may differ between training and inference, else fp32

3x3 convolutions take Winograd's algorithm where that is faster: in fp32 in float32, and in bf16 with exact products of 16-bit
integers, with which a layer's error is no larger. In int8 all products are direct and exact.

--device says what computes: cpu, cuda (an NVIDIA GPU; cuda:1 is the second one), or auto, the GPU where there is one.
` + "`residual doctor`" + ` says what auto chooses on this machine, and why there is no GPU.

--threads and --kernels are for the CPU: how many cores compute, and with which instruction set: portable, avx2, avx512,
avx512vnni, avx512bf16 or amx. The number of threads changes no bit of a result; the instruction set may, in the last bits,
but not in int8.

Less memory: a smaller --batch or --resize; --accumulate 4, which makes one step of four batches; and --recompute, which keeps
only some of the activations and computes the others again for the gradients, at the same result to the last bit.`

const schedulesTopic = `--schedule says how the learning rate --lr changes over a training:

  constant
  cosine,warmup=0.05,min=0.0001
  step,gamma=0.1,at=0.5,at=0.75
  onecycle,warmup=0.3,div=25,finaldiv=10000

cosine falls from --lr to min along half a cosine. step multiplies the rate by gamma at each of the given shares of the
training. onecycle rises from a fraction of --lr to it and falls far below. warmup is the share of the training in which the
rate first rises. A schedule goes over all epochs: with more epochs the rate falls more slowly.

` + "`residual lr-find`" + ` trains for some steps while the rate rises, and suggests one. It takes the flags of ` + "`residual train`" + `.

--ema 0.999 evaluates and saves an average of the weights, which changes less from epoch to epoch. --patience 5 ends a training
that gets no better by --metric for five epochs. A loss or a gradient that is no number ends it before the weights are changed:
the first layer that gave one is named, with the images of the batch.`

const resumeTopic = `A training leaves a numbered run folder, such as runs/train-3. Wherever a command takes a model it takes the folder, too, for
the best model in it. The word last stands for the newest run.

  residual train --resume last
  residual train --resume runs/train-3 --epochs 20
  residual eval last

--resume goes on with a run that was interrupted or killed, in its folder and with its settings, from the end of its last whole
epoch. On the same kind of processor it ends with the weights, to the last bit, of a run that was never stopped. Of the flags
that decide what is trained only --epochs may be given with it, to make more of them; a rate that falls over the training then
falls by the new number. Images that were moved since are found with --data: their content tells that they are those of the run.

Ctrl-C finishes the step and saves last.safetensors; a second one quits at once. The exit status is then 130, and 143 after
SIGTERM. Otherwise it is 0, or 1 when something failed, or 2 when the command line cannot be understood.

Settings may be in a file, such as the settings.yaml of a run. Flags that are given win over it:

  residual train --config runs/train-3 --lr 0.1
  residual train --data garments --print-config > run.yaml
  residual train --config run.yaml`
