package settings

import "math"

// table has one row for each setting.
var table = []Setting{
	{Field: "Data", Key: "data", Group: Data, Common: true, Value: "NAME|FOLDER", Result: true, Default: "fashion-mnist", Range: said("the name of a data set or a path"), Also: []string{"dataset", "data_path", "image_folder"}, Help: "data set, or your own images", More: "The command data list has the names of data sets. " + ownImages},
	{Field: "Task", Key: "task", Group: Data, Result: true, Otherwise: "classes", Range: words("classes", "labels", "values", "masks"), Help: "what the model predicts: classes, labels or values", More: "With classes, each image has exactly one class. With labels, each image has any number of labels; with values, each has numbers. Labels and values come from the columns of a .csv or .jsonl list."},
	{Field: "Columns", Key: "columns", Group: Data, Value: "NAME,...", Result: true, Photos: true, Otherwise: "all but those of the path and the part", Range: said("names of columns, separated by commas"), Help: "columns of the list with the labels or the values, such as age,weight", More: "A column of a label has 1 or 0 in each row; or one column has the names of all labels of an image, separated by |."},
	{Field: "Resize", Key: "resize", Group: Data, Common: true, Result: true, Recipe: true, Default: "96", Range: within(1, 4096), Also: []string{"image_size", "img_size", "imgsz", "size", "input_size"}, Help: "pixels of each side of the images"},
	{Field: "Progressive", Key: "progressive", Group: Data, Result: true, Otherwise: "all epochs at --resize", Range: within(1, 4096), Also: []string{"progressive_resizing", "progressive_resize", "min_size"}, Help: "pixels of the images in the first epochs, which grow to --resize, such as 48", More: "There are up to four sizes, each for as many epochs as the others, so the training takes less time. Tests are at the last size throughout."},
	{Field: "EvalSize", Key: "eval_size", Group: Data, Result: true, Otherwise: "--resize", Range: within(1, 4096), Also: []string{"test_size_pixels", "eval_crop_size", "val_crop_size", "val_resize", "test_input_size"}, Help: "pixels of each side of the images that the model is tested on and used for, if not --resize", More: "Objects look larger in random crops than in test images, so a model may be better on images that are a little larger than those of its training. The model file has this size."},
	{Field: "Holdout", Key: "holdout", Group: Data, Common: true, Result: true, Photos: true, Default: "0.2", Range: share("0.2"), Help: "share of your own images to test on", More: "This share of each class is held out, unless a folder or a list says which images are for testing."},
	{Field: "HoldoutSeed", Key: "holdout_seed", Group: Data, Result: true, Photos: true, Zero: true, Range: seeds, Help: "random choice of those images, which does not depend on --seed"},
	{Field: "TrainSize", Key: "train_size", Group: Data, Result: true, Otherwise: "all", Range: within(0, math.MaxInt32), Help: "train on this many images only"},
	{Field: "TestSize", Key: "test_size", Group: Data, Result: true, Otherwise: "all", Range: within(0, math.MaxInt32), Help: "test on this many images only"},
	{Field: "ResizeShorter", Key: "resize_shorter", Group: Data, Result: true, Photos: true, Otherwise: "256 for every 224 of --resize, or as many as it for images that are no larger", Range: within(1, 4096), Help: "pixels that the shorter side of your own images is resized to for evaluation, before the middle of --resize is cut out"},
	{Field: "Interpolation", Key: "interpolation", Group: Data, Result: true, Photos: true, Otherwise: "bilinear", Range: words("bilinear", "bicubic"), Help: "interpolation of your own images: bilinear or bicubic"},
	{Field: "Channels", Key: "channels", Group: Data, Result: true, Photos: true, Otherwise: "3", Help: "channels of your own images: 1 for grey or 3 for colour", Range: Range{Min: 1, Max: 3, Must: "1 (grey) or 3 (red, green, blue)"}},
	{Field: "Mean", Key: "mean", Group: Data, Result: true, Otherwise: "ImageNet's for your own images, else none", Range: Range{Min: math.Inf(-1), Max: math.Inf(1), Above: true, Below: true, Must: "a number for each channel, of pixels from 0 to 1", Such: "0.485,0.456,0.406"}, Help: "mean of the pixels by channel, from 0 to 1, to normalise by"},
	{Field: "Std", Key: "std", Group: Data, Result: true, Otherwise: "as for --mean", Range: above("a number above 0 for each channel, of pixels from 0 to 1", "0.229,0.224,0.225"), Help: "standard deviation of the pixels by channel, to normalise by; needs --mean"},
	{Field: "Cache", Key: "cache", Group: Data, Photos: true, Value: "auto|off|FOLDER", Default: "auto", Range: said("auto, off or the path of a folder"), Help: "where decoded images of your own are cached", More: "With auto that is the user's cache folder, when the images are large enough for that to help. It never changes a result; the command data cache lists and clears it."},
	{Field: "CacheSize", Key: "cache_size", Group: Data, Photos: true, Otherwise: "half of what the disk has free", Range: Range{Max: 1e9, Below: true, Must: "gigabytes above 0", Such: "20"}, Help: "largest size of that cache in gigabytes"},
	{Field: "MaxPixels", Key: "max_pixels", Group: Data, Photos: true, Otherwise: "50000000", Range: Range{Max: math.MaxInt64, Must: "a number of pixels above 0", Such: "100000000"}, Help: "largest number of pixels of an image of your own; a larger image counts as broken"},
	{Field: "DataDir", Key: "data_dir", Group: Data, Value: "FOLDER", Zero: true, Range: said("the path of a folder"), Otherwise: "RESIDUAL_DATA, else the user's cache folder", Help: "folder where downloaded data sets are stored"},
	{Field: "Offline", Key: "offline", Group: Data, Zero: true, Range: said("true or false"), Help: "download nothing"},
	{Field: "Workers", Key: "workers", Group: Data, Zero: true, Range: within(0, 1<<10), Otherwise: "chosen", Also: []string{"num_workers"}, Help: "goroutines that prepare batches; the result does not depend on their number"},

	{Field: "Recipe", Key: "recipe", Group: Model, Result: true, Otherwise: "the usual one of the model and the data", Range: words("fast"), Help: "settings for the least time: fast", More: "It trains whitened-resnet8 in batches of 1,024 at 32x32 pixels, on cifar10, cifar100 or small images of your own, and d2l-resnet18 on fashion-mnist for 3 epochs. A flag that is given wins, and recipe.txt lists what was chosen."},
	{Field: "Model", Key: "model", Group: Model, Common: true, Value: "NAME", Result: true, Recipe: true, Default: "d2l-resnet18", Range: said("a name of the command models"), Also: []string{"arch", "architecture", "net", "network"}, Help: "model to train", More: "The command models lists all."},
	{Field: "Blocks", Key: "blocks", Group: Model, Result: true, Zero: true, Otherwise: "the model's own", Range: Range{Min: 1, Max: 1 << 16, Must: "a number of at least 1 for each stage", Such: "3,4,6,3"}, Help: "blocks in each stage, such as 3,4,6,3"},
	{Field: "ZeroInit", Key: "zero_init", Group: Model, Result: true, Zero: true, Range: said("true or false"), Help: "start every residual branch at zero, so that at first each block returns its shortcut"},
	{Field: "StochasticDepth", Key: "stochastic_depth", Group: Model, Result: true, Zero: true, Range: share("0.2"), Also: []string{"drop_path"}, Help: "probability with which an image skips the last block in training", More: "The probability of each block before it is lower, in equal steps from 0."},
	{Field: "Init", Key: "init", Group: Model, Result: true, Recipe: true, Default: "xavier-uniform", Range: words("pytorch", "xavier-uniform", "kaiming-normal"), Help: "first weights: xavier-uniform, kaiming-normal or pytorch"},

	{Field: "Epochs", Key: "epochs", Group: Optimisation, Common: true, Recipe: true, Default: "10", Range: within(1, 1<<30), Also: []string{"num_epochs", "max_epochs"}, Help: "epochs to train"},
	{Field: "Repeat", Key: "repeat", Group: Optimisation, Result: true, Otherwise: "1, or by recipe for your own images", Range: Range{Min: 1, Max: 1 << 20, Must: "a number of passes from 1 to 1048576"}, Also: []string{"repeats", "repeat_factor", "repeated_aug"}, Help: "passes over the images in an epoch", More: "With few images of your own a pass is only a few steps, so an epoch has several, unless you give the number of epochs."},
	{Field: "Batch", Key: "batch", Group: Optimisation, Common: true, Result: true, Recipe: true, Default: "256", Range: within(1, 1<<20), Also: []string{"batch_size", "bs"}, Help: "images in a batch", More: "Where the last batch of an epoch would hold fewer than 8, or than half a batch if that is fewer, the last two share theirs evenly."},
	{Field: "LR", Key: "lr", Group: Optimisation, Common: true, Result: true, Recipe: true, Default: "0.05", Range: Range{Max: 1000, Above: true, Must: "a number above 0, at most 1000", Such: "0.05"}, Also: []string{"learning_rate", "base_lr"}, Help: "learning rate"},
	{Field: "Schedule", Key: "schedule", Group: Optimisation, Common: true, Value: "NAME,...", Result: true, Recipe: true, Default: "constant", Range: said("a name, with settings behind commas"), Also: []string{"scheduler", "lr_scheduler", "sched", "lr_schedule"}, Help: "constant, cosine, step or onecycle", More: "It is how the learning rate changes. Settings follow the name: cosine,warmup=0.05,min=0.0001, step,gamma=0.1,at=0.5 or onecycle,warmup=0.3."},
	{Field: "Optimizer", Key: "optimizer", Group: Optimisation, Common: true, Result: true, Default: "sgd", Range: words("sgd", "adamw", "lars"), Also: []string{"opt", "optim", "optimiser"}, Help: "sgd, adamw or lars"},
	{Field: "Momentum", Key: "momentum", Group: Optimisation, Result: true, Zero: true, Recipe: true, Range: share("0.9", "a number from 0 to below 1"), Help: "momentum of sgd and lars"},
	{Field: "WeightDecay", Key: "weight_decay", Group: Optimisation, Result: true, Zero: true, Recipe: true, Range: Range{Max: 1, Must: "a number from 0 to 1", Such: "0.0001"}, Also: []string{"wd"}, Help: "L2 penalty; with adamw, decoupled from the gradient"},
	{Field: "Nesterov", Key: "nesterov", Group: Optimisation, Result: true, Zero: true, Range: said("true or false"), Help: "use Nesterov momentum"},
	{Field: "LabelSmoothing", Key: "label_smoothing", Group: Optimisation, Result: true, Zero: true, Range: share("0.1"), Also: []string{"smoothing"}, Help: "share of every label that is spread evenly over all classes, such as 0.1"},
	{Field: "Sampler", Key: "sampler", Group: Optimisation, Result: true, Otherwise: "shuffled", Range: words("shuffled", "balanced"), Also: []string{"balance", "weighted_sampler", "oversample"}, Help: "images of an epoch: shuffled or balanced", More: "With shuffled an epoch has every image once, in a new order; with balanced images are drawn with replacement so that all classes are equally frequent. An image with several labels counts as one of its rarest label."},
	{Field: "ClassWeights", Key: "class_weights", Group: Optimisation, Value: "balanced|X,X,...", Result: true, Range: said("balanced, or a number above 0 for each class"), Help: "weights of the classes in the loss", More: "With balanced, rare classes count as much as frequent ones; else give a number for each, such as 1,1,2.5."},
	{Field: "ClipNorm", Key: "clip_norm", Group: Optimisation, Result: true, Range: from("a number of at least 0", "1"), Also: []string{"clip_grad", "grad_clip", "clip_grad_norm", "max_grad_norm"}, Help: "largest norm of all gradients together; larger ones are scaled down to it"},
	{Field: "Accumulate", Key: "accumulate", Group: Optimisation, Result: true, Otherwise: "1", Range: Range{Min: 1, Max: 1 << 20, Must: "a number of batches from 1 to 1048576"}, Also: []string{"grad_accum", "accumulation", "gradient_accumulation_steps", "grad_accum_steps"}, Help: "batches whose gradients make one step", More: "The gradients are averaged, as those of one larger batch would be, in the memory of a small batch. Batch norms still see each batch by itself."},
	{Field: "EMA", Key: "ema", Group: Optimisation, Result: true, Zero: true, Range: share("0.999"), Also: []string{"model_ema", "ema_decay"}, Help: "decay of an exponential moving average of the weights, such as 0.999", More: "The average is evaluated and saved in place of the weights."},
	{Field: "Lookahead", Key: "lookahead", Group: Optimisation, Result: true, Zero: true, Range: share("0.95"), Help: "decay of slow weights that the training goes back to every 5 steps, such as 0.95", More: "They begin after 30 % of the steps, and become an average towards the end."},
	{Field: "NormBiasRate", Key: "norm_bias_lr_scale", Group: Optimisation, Result: true, Otherwise: "1", Range: Range{Max: 10000, Above: true, Must: "a number above 0, at most 10000", Such: "64"}, Help: "factor of the learning rate of the biases of batch norms, such as 64; of sgd alone", More: "Their weight decay does not change."},
	{Field: "Metric", Key: "metric", Group: Optimisation, Result: true, Otherwise: "accuracy for classes, map for labels, r2 for values", Range: words("accuracy", "loss", "macro-f1", "balanced-accuracy", "map", "mae", "rmse", "r2", "iou"), Help: "measure on the test images that chooses the best epoch", More: "It is accuracy, loss, macro-f1 or balanced-accuracy of classes; map (mean average precision), macro-f1 or loss of labels; r2, mae, rmse or loss of values."},
	{Field: "Patience", Key: "patience", Group: Optimisation, Otherwise: "never", Range: Range{Min: 1, Max: math.MaxInt32, Must: "a number of epochs of at least 1, or 0 for none"}, Also: []string{"early_stopping"}, Help: "stop after this many epochs without a better one"},

	{Field: "Weights", Key: "weights", Group: FineTuning, Common: true, Value: "FILE|RUN", Result: true, Range: said("the path of a file or a run folder"), Also: []string{"pretrained", "checkpoint", "initial_checkpoint"}, Help: "weights to start from, of a file or a run", More: "Give a model file, a run folder, or a .safetensors, .pth, .npz or .onnx file of another program."},
	{Field: "Freeze", Key: "freeze", Group: FineTuning, Common: true, Value: "NAME,...", Result: true, Range: said("words or prefixes of names, separated by commas"), Help: "not trained: backbone, stem, norm-weights or prefixes", More: "backbone is all layers but the last, and norm-weights are the factors of batch norms. Prefixes of parameter names look like conv1,bn1,layer1. No gradients are computed for frozen layers, and their batch norms work as in evaluation."},
	{Field: "BackboneRate", Key: "backbone_lr_scale", Group: FineTuning, Result: true, Otherwise: "1", Range: Range{Max: 1000, Above: true, Must: "a number above 0, at most 1000", Such: "0.1"}, Help: "factor of the learning rate of all but the last layer, such as 0.1"},
	{Field: "LayerDecay", Key: "layer_decay", Group: FineTuning, Result: true, Otherwise: "1", Range: Range{Max: 1, Must: "a factor above 0, at most 1", Such: "0.8"}, Also: []string{"layer_decay_rate"}, Help: "factor of the learning rate for every layer further from the last one, such as 0.8", More: "The stem and each block are one layer."},
	{Field: "Teacher", Key: "teacher", Group: FineTuning, Value: "FILE|RUN", Result: true, Range: said("the path of a model file or a run folder"), Help: "trained model whose outputs the training learns from, besides the labels", More: "This is knowledge distillation. The teacher must predict the same classes, labels or values, and its images must be prepared in the same way."},
	{Field: "TeacherTemperature", Key: "teacher_temperature", Group: FineTuning, Result: true, Otherwise: "4", Range: above("a number above 0", "4"), Help: "temperature: the outputs of the teacher and of the model are divided by it before they are compared"},
	{Field: "TeacherShare", Key: "teacher_share", Group: FineTuning, Result: true, Otherwise: "0.5", Range: Range{Max: 1, Must: "a share above 0, at most 1", Such: "0.5"}, Help: "weight of the teacher in the loss; the labels have the remaining weight"},

	{Field: "Augment", Key: "augment", Group: Augmentation, Common: true, Result: true, Recipe: true, Default: "none", Range: words("none", "flip", "crop", "shift", "standard", "trivial", "rand"), Also: []string{"augmentation", "auto_augment", "aa"}, Help: "none, flip, crop, shift, standard, trivial or rand", More: "They are random changes of the images: none (every epoch sees the same images), flip (RandomHorizontalFlip), crop (RandomCrop with a padding of an eighth, and flip), shift (RandomCrop with a reflected padding of a sixteenth, and AlternatingFlip), standard (RandomResizedCrop and flip), trivial (standard and TrivialAugmentWide), rand (standard and RandAugment). Your own images get standard unless you say otherwise, and crop if they are tiny: no larger than a size below 48 pixels."},
	{Field: "CropScale", Key: "crop_scale", Group: Augmentation, Result: true, Otherwise: "0.08; 0.5 with up to 1,000 images of your own", Range: Range{Max: 1, Must: "a share above 0, at most 1", Such: "0.08"}, Help: "smallest share of an image's area that RandomResizedCrop may crop"},
	{Field: "RandomErasing", Key: "random_erasing", Group: Augmentation, Result: true, Zero: true, Range: Range{Max: 1, Must: "a share from 0 to 1", Such: "0.25"}, Also: []string{"reprob", "random_erase"}, Help: "probability with which a part of an image is erased in training"},
	{Field: "Mixup", Key: "mixup", Group: Augmentation, Common: true, Result: true, Zero: true, Range: from("0 for none, or the alpha of a Beta distribution", "0.2"), Help: "blend pairs of images, by Beta(A, A), such as 0.2", More: "The labels are blended by the same share."},
	{Field: "CutMix", Key: "cutmix", Group: Augmentation, Result: true, Zero: true, Range: from("0 for none, or the alpha of a Beta distribution", "1"), Help: "paste a part of an image into another, by an area from Beta(A, A), such as 1", More: "With --mixup each batch gets one of the two."},

	{Field: "Seed", Key: "seed", Group: Run, Common: true, Result: true, Zero: true, Range: seeds, Otherwise: "0", Also: []string{"random_seed", "manual_seed"}, Help: "random seed of the weights and the order"},
	{Field: "Out", Key: "out", Group: Run, Common: true, Value: "FOLDER", Result: true, Default: "runs", Range: said("the path of a folder"), Also: []string{"output", "output_dir", "project", "save_dir"}, Help: "folder in which the numbered run folders are created"},

	{Field: "Threads", Key: "threads", Group: Device, Zero: true, Otherwise: "all cores", Range: Range{Max: 1 << 12, Must: "a number of threads up to 4096, or 0 for all cores"}, Also: []string{"num_threads"}, Help: "number of threads that compute"},
	{Field: "Precision", Key: "precision", Group: Device, Common: true, Result: true, Zero: true, Default: "auto", Range: words("auto", "bf16", "tf32", "fp32"), Also: []string{"dtype", "amp", "half"}, Help: "auto, bf16, tf32 or fp32", More: "The number format to compute in: bf16 keeps activations in bfloat16, in half the memory; tf32 is for GPUs only; auto is bf16 where that is faster on the device, else fp32."},
	{Field: "Recompute", Key: "recompute", Group: Device, Result: true, Zero: true, Range: said("true or false"), Also: []string{"grad_checkpointing", "gradient_checkpointing"}, Help: "compute activations again for the gradients, to save memory", More: "Only some activations are retained. The result is the same to the last bit, in half the memory or less in deep nets, for at most one more forward pass a step."},

	{Field: "LastBatch", Key: "last_batch", Group: NoFlag, Result: true, Default: "even", Range: words("even", "short"), Help: "what the last batch of an epoch holds: even, so that the last two share their images where it would hold few, or short, what is left"},
	{Field: "Length", Key: "length", Group: NoFlag, Result: true, Range: Range{Max: math.MaxInt32, Must: "pairs of numbers of batches", Such: "0,1200,400,1100"}, Help: "how a budget decided the length of the training while it went on: pairs of the batches made until then and the batches of the whole training, of which the latest counts. A training from these settings has the same bits"},
	{Field: "GradientNorm", Key: "gradient_norm", Group: NoFlag, Result: true, Range: said("true or false"), Help: "add the column grad_norm to the metrics: the L2 norm of the gradient of the first layer's weight"},
	{Field: "OwnParts", Key: "own", Group: NoFlag, Result: true, Help: "parts of the training that were a program's own, with their types. Resolved records them; to resume the run, its program must give the same values again"},
}

// ownImages says how users name their own images in place of a data set.
const ownImages = "Images of your own are a folder with one folder for each class (or train/ and val/ folders that contain these), or a .csv or .jsonl list of paths and labels. The name of a data set takes precedence over a folder of that name, which is written ./NAME."

// seeds is the range of random seeds.
var seeds = Range{Max: math.MaxUint64, Must: "a whole number of at least 0", Such: "7"}

// within is a number from least to most, both included.
func within(least, most float64) Range { return Range{Min: least, Max: most} }

// share is a number from 0 to below 1, in other words where some are given.
func share(such string, words ...string) Range {
	must := "a share from 0 to below 1"
	if len(words) > 0 {
		must = words[0]
	}
	return Range{Max: 1, Below: true, Must: must, Such: such}
}

// from is a finite number of at least 0.
func from(must, such string) Range {
	return Range{Max: math.Inf(1), Below: true, Must: must, Such: such}
}

// above is a finite number above 0.
func above(must, such string) Range {
	return Range{Max: math.Inf(1), Above: true, Below: true, Must: must, Such: such}
}

// said is a range that other packages check, in words for the page.
func said(must string) Range { return Range{Must: must} }

func words(all ...string) Range { return Range{Words: all} }
