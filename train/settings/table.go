package settings

import "math"

// DataHelp says how images of the user's own are named beside data sets.
const DataHelp = "or images of your own: a folder with one folder a class (or folders for the parts with these, such as train/ and val/), or a .csv or .jsonl list of paths and labels. A name counts before a folder that is called the same, which is then named ./NAME"

// table has one row for each setting.
var table = []Setting{
	{Field: "Model", Key: "model", Group: Model, Result: true, Default: "d2l-resnet18", Range: said("a name of the command models"), Help: "model to train; the command models lists them"},
	{Field: "Blocks", Key: "blocks", Group: Model, Result: true, Zero: true, Otherwise: "the model's own", Range: said("a number of at least 1 for each stage"), Help: "blocks in each stage, such as 3,4,6,3"},
	{Field: "ZeroInit", Key: "zero_init", Group: Model, Result: true, Zero: true, Range: said("true or false"), Help: "start every residual branch at zero, so that at first each block returns its shortcut"},
	{Field: "StochasticDepth", Key: "stochastic_depth", Group: Model, Result: true, Zero: true, Range: share("0.2"), Help: "probability with which an image does without the last block in training; for those before it, in equal steps from 0"},

	{Field: "Data", Key: "data", Group: Recipe, Result: true, Default: "fashion-mnist", Range: said("the name of a data set or a path"), Help: "data set that the command data list lists, " + DataHelp},
	{Field: "Task", Key: "task", Group: Recipe, Result: true, Otherwise: "classes", Range: words("classes", "labels", "values", "masks"), Help: "what the model is asked: classes (one for each image), or, of a .csv or .jsonl list with columns for them, labels (none, one or several for each image) or values (numbers)"},
	{Field: "Columns", Key: "columns", Group: Recipe, Result: true, Photos: true, Otherwise: "all but those of the path and the part", Range: said("names of columns, separated by commas"), Help: "columns of the list that have the labels (1 or 0, or one column with names separated by |) or the values, such as age,weight"},
	{Field: "Resize", Key: "resize", Group: Recipe, Result: true, Default: "96", Range: within(1, 4096), Help: "pixels of both sides that images are resized to"},
	{Field: "Batch", Key: "batch", Group: Recipe, Result: true, Default: "256", Range: within(1, 1<<20), Help: "images in a batch; where the last batch of an epoch would hold fewer than 8, or than half a batch if that is fewer, the last two share theirs evenly"},
	{Field: "LR", Key: "lr", Group: Recipe, Result: true, Default: "0.05", Range: above("a number above 0, such as 0.05"), Help: "learning rate"},
	{Field: "Epochs", Key: "epochs", Group: Recipe, Default: "10", Range: within(1, 1<<30), Help: "epochs to train"},
	{Field: "Optimizer", Key: "optimizer", Group: Recipe, Result: true, Default: "sgd", Range: words("sgd", "adamw", "lars"), Help: "optimiser: sgd, adamw or lars"},
	{Field: "Momentum", Key: "momentum", Group: Recipe, Result: true, Zero: true, Range: from("a number of at least 0, such as 0.9"), Help: "momentum of sgd and lars"},
	{Field: "WeightDecay", Key: "weight_decay", Group: Recipe, Result: true, Zero: true, Range: from("a number of at least 0, such as 0.0001"), Help: "L2 penalty; of adamw decoupled from the gradient"},
	{Field: "Nesterov", Key: "nesterov", Group: Recipe, Result: true, Zero: true, Range: said("true or false"), Help: "look ahead along the momentum"},
	{Field: "Schedule", Key: "schedule", Group: Recipe, Result: true, Default: "constant", Range: said("a name, with settings behind commas"), Help: "of the learning rate: constant, cosine,warmup=0.05,min=0.0001, step,gamma=0.1,at=0.5 or onecycle,warmup=0.3"},

	{Field: "LabelSmoothing", Key: "label_smoothing", Group: Learning, Result: true, Zero: true, Range: share("0.1"), Help: "share of every label that all classes get alike, such as 0.1"},
	{Field: "ClassWeights", Key: "class_weights", Group: Learning, Result: true, Range: said("balanced, or a number above 0 for each class"), Help: "weights of the classes in the loss: balanced, so that rare classes count as much as frequent ones, or a number for each, such as 1,1,2.5"},
	{Field: "Sampler", Key: "sampler", Group: Learning, Result: true, Otherwise: "shuffled", Range: words("shuffled", "balanced"), Help: "images of an epoch: shuffled (each once, in a new order) or balanced (drawn with replacement so that all classes are equally frequent; an image with several labels counts as one of its rarest)"},
	{Field: "Teacher", Key: "teacher", Group: Learning, Result: true, Range: said("the path of a model file"), Help: "trained model whose outputs the training learns from, beside what the images have (knowledge distillation); it must answer with the same, for images prepared in the same way"},
	{Field: "TeacherTemperature", Key: "teacher_temperature", Group: Learning, Result: true, Otherwise: "4", Range: above("a number above 0, such as 4"), Help: "temperature by which the outputs of both are divided before they are compared"},
	{Field: "TeacherShare", Key: "teacher_share", Group: Learning, Result: true, Otherwise: "0.5", Range: Range{Most: 1, Must: "a share above 0, at most 1, such as 0.5"}, Help: "share of the teacher in the loss"},
	{Field: "ClipNorm", Key: "clip_norm", Group: Learning, Result: true, Range: from("a number of at least 0, such as 1"), Help: "scale gradients down to this norm, all together, where it is larger, such as 1"},
	{Field: "Accumulate", Key: "accumulate", Group: Learning, Result: true, Otherwise: "1", Range: Range{Least: 1, Most: 1 << 20, Must: "a number of batches from 1 to 1048576"}, Help: "batches whose gradients make one step: their mean, as of one batch so large, in the memory of a small one. Batch norms still see each batch by itself"},
	{Field: "EMA", Key: "ema", Group: Learning, Result: true, Zero: true, Range: share("0.999"), Help: "keep an exponential moving average of the weights with this decay, such as 0.999; it is what is evaluated and saved"},
	{Field: "Metric", Key: "metric", Group: Learning, Result: true, Otherwise: "accuracy for classes, map for labels, r2 for values", Range: words("accuracy", "loss", "macro-f1", "balanced-accuracy", "map", "mae", "rmse", "r2", "iou"), Help: "what the best epoch is chosen by, of the test images: accuracy, loss, macro-f1 or balanced-accuracy of classes; map (mean average precision), macro-f1 or loss of labels; r2, mae, rmse or loss of values"},
	{Field: "Patience", Key: "patience", Group: Learning, Otherwise: "never", Range: Range{Least: 1, Most: math.MaxInt32, Must: "a number of epochs of at least 1, or 0 for none"}, Help: "end after this many epochs without a better one"},
	{Field: "Freeze", Key: "freeze", Group: Learning, Result: true, Range: said("words or prefixes of names, separated by commas"), Help: "what is not trained: stem, backbone (all but the last layer), or parts by the prefixes of their parameters' names, such as conv1,bn1,layer1. No time goes into its gradients, and its batch norms work as in evaluation"},
	{Field: "BackboneRate", Key: "backbone_lr_scale", Group: Learning, Result: true, Otherwise: "1", Range: above("a number above 0, such as 0.1"), Help: "factor of the learning rate of all but the last layer, such as 0.1"},
	{Field: "LayerDecay", Key: "layer_decay", Group: Learning, Result: true, Otherwise: "1", Range: Range{Most: 1, Must: "a factor above 0, at most 1, such as 0.8"}, Help: "factor of the learning rate for every layer further from the last one, the stem and each block being one, such as 0.8"},

	{Field: "Holdout", Key: "holdout", Group: Images, Result: true, Photos: true, Default: "0.2", Range: share("0.2"), Help: "share of each class to test on, of your own images where you do not say which"},
	{Field: "HoldoutSeed", Key: "holdout_seed", Group: Images, Result: true, Photos: true, Zero: true, Range: said("a number of at least 0"), Help: "of that choice, which does not depend on --seed"},
	{Field: "Augment", Key: "augment", Group: Images, Result: true, Otherwise: "standard for your own images, crop for cifar10 and cifar100, else none", Range: words("none", "flip", "crop", "standard", "trivial", "rand"), Help: "random changes in training: none (every epoch sees the same images), flip (RandomHorizontalFlip), crop (RandomCrop with a padding of an eighth, and flip), standard (RandomResizedCrop and flip), trivial (standard and TrivialAugmentWide), rand (standard and RandAugment)"},
	{Field: "CropScale", Key: "crop_scale", Group: Images, Result: true, Otherwise: "0.08; 0.5 with up to 1,000 images of your own", Range: Range{Most: 1, Must: "a share above 0, at most 1, such as 0.08"}, Help: "least share of an image's area that RandomResizedCrop takes"},
	{Field: "RandomErasing", Key: "random_erasing", Group: Images, Result: true, Zero: true, Range: Range{Most: 1, Must: "a share from 0 to 1, such as 0.25"}, Help: "probability with which a part of an image is erased in training"},
	{Field: "Mixup", Key: "mixup", Group: Images, Result: true, Zero: true, Range: from("the alpha of a Beta distribution, such as 0.2, or 0 for none"), Help: "blend images of a batch, and their labels, by a share from Beta(A, A); such as 0.2"},
	{Field: "CutMix", Key: "cutmix", Group: Images, Result: true, Zero: true, Range: from("the alpha of a Beta distribution, such as 1, or 0 for none"), Help: "paste a part of an image into another, by an area from Beta(A, A); such as 1. With --mixup each batch gets one of the two"},
	{Field: "ResizeShorter", Key: "resize_shorter", Group: Images, Result: true, Photos: true, Otherwise: "256 for every 224 of --resize", Range: within(1, 4096), Help: "pixels that the shorter side of your own images is resized to for evaluation, before the middle of --resize is cut out"},
	{Field: "Interpolation", Key: "interpolation", Group: Images, Result: true, Photos: true, Otherwise: "bilinear", Range: words("bilinear", "bicubic"), Help: "of your own images: bilinear or bicubic"},
	{Field: "Channels", Key: "channels", Group: Images, Result: true, Photos: true, Otherwise: "3", Help: "of your own images: 1 for grey or 3 for colour", Range: Range{Least: 1, Most: 3, Must: "1 (grey) or 3 (red, green, blue)"}},
	{Field: "Mean", Key: "mean", Group: Images, Result: true, Otherwise: "ImageNet's for your own images, else none", Range: Range{Least: math.Inf(-1), Most: math.Inf(1), Above: true, Below: true, Must: "a number for each channel, of pixels from 0 to 1, such as 0.485,0.456,0.406"}, Help: "mean of the pixels by channel, from 0 to 1, to normalise by"},
	{Field: "Std", Key: "std", Group: Images, Result: true, Otherwise: "as for --mean", Range: above("a number above 0 for each channel, of pixels from 0 to 1, such as 0.229,0.224,0.225"), Help: "std of the pixels by channel, beside --mean"},
	{Field: "Cache", Key: "cache", Group: Images, Photos: true, Default: "auto", Range: said("auto, off or the path of a folder"), Help: "where your own images are kept decoded and shrunk: auto (the user's cache folder, when they are large enough for that to help), off, or a folder. It never changes a result; the command data cache lists and clears"},
	{Field: "CacheSize", Key: "cache_size", Group: Images, Photos: true, Otherwise: "half of what the disk has free", Range: Range{Most: 1e9, Below: true, Must: "gigabytes above 0, such as 20"}, Help: "most gigabytes of that"},
	{Field: "MaxPixels", Key: "max_pixels", Group: Images, Photos: true, Otherwise: "50000000", Range: Range{Most: math.MaxInt64, Must: "a number of pixels above 0, such as 100000000"}, Help: "most pixels of an image of your own; a larger one counts as broken"},

	{Field: "Init", Key: "init", Group: Run, Result: true, Default: "xavier-uniform", Range: words("pytorch", "xavier-uniform", "kaiming-normal"), Help: "first weights: xavier-uniform, kaiming-normal or pytorch"},
	{Field: "Weights", Key: "weights", Group: Run, Result: true, Range: said("the path of a file"), Help: "file of weights to start from: a model file, or a .safetensors, .pth, .npz or .onnx file of another program"},
	{Field: "Seed", Key: "seed", Group: Run, Result: true, Zero: true, Range: said("a number of at least 0"), Help: "of the first weights and of the order of the images"},
	{Field: "TrainSize", Key: "train_size", Group: Run, Result: true, Otherwise: "all", Range: within(0, math.MaxInt32), Help: "train on this many images only"},
	{Field: "TestSize", Key: "test_size", Group: Run, Result: true, Otherwise: "all", Range: within(0, math.MaxInt32), Help: "test on this many images only"},
	{Field: "Recompute", Key: "recompute", Group: Run, Result: true, Zero: true, Range: said("true or false"), Help: "keep only some activations and compute the rest again for the gradients: the same result to the last bit in less memory, half or less in deep nets, for at most one more forward pass a step"},
	{Field: "Workers", Key: "workers", Group: Run, Zero: true, Range: within(0, 1<<10), Otherwise: "chosen", Help: "goroutines that prepare batches; the result does not depend on it"},
	{Field: "Out", Key: "out", Group: Run, Result: true, Default: "runs", Range: said("the path of a folder"), Help: "folder of the numbered run folders"},

	{Field: "DataDir", Key: "data_dir", Group: Files, Zero: true, Range: said("the path of a folder"), Help: "folder of the data; else RESIDUAL_DATA, else the user's cache folder"},
	{Field: "Offline", Key: "offline", Group: Files, Zero: true, Range: said("true or false"), Help: "download nothing"},

	{Field: "Threads", Key: "threads", Group: Device, Zero: true, Range: said("a number of at least 0"), Help: "threads that compute; 0 takes all cores"},
	{Field: "Precision", Key: "precision", Group: Device, Result: true, Zero: true, Default: "auto", Range: words("auto", "bf16", "tf32", "fp32"), Help: "numbers that are computed in: bf16 (activations in bfloat16, half the memory), fp32, tf32 (GPUs alone), or auto: bf16 where the device multiplies it"},

	{Field: "LastBatch", Key: "last_batch", Group: NoFlag, Result: true, Default: "even", Range: words("even", "short"), Help: "what the last batch of an epoch holds: even, so that the last two share their images where it would hold few, or short, what is left"},
	{Field: "GradientNorm", Key: "gradient_norm", Group: NoFlag, Result: true, Range: said("true or false"), Help: "add the column grad_norm to the metrics: the L2 norm of the gradient of the first layer's weight"},
	{Field: "OwnParts", Key: "own", Group: NoFlag, Result: true, Help: "what of the training was a program's own, with its types; a record, which Resolved fills in. To resume the run its program gives the same values again"},
}

// within is a number from least to most, both included.
func within(least, most float64) Range { return Range{Least: least, Most: most} }

// share is a number from 0 to below 1.
func share(such string) Range {
	return Range{Most: 1, Below: true, Must: "a share from 0 to below 1, such as " + such}
}

// from is a finite number of at least 0.
func from(must string) Range { return Range{Most: math.Inf(1), Below: true, Must: must} }

// above is a finite number above 0.
func above(must string) Range {
	return Range{Most: math.Inf(1), Above: true, Below: true, Must: must}
}

// said is a range that other packages check, in words for the page.
func said(must string) Range { return Range{Must: must} }

func words(all ...string) Range { return Range{Words: all} }
