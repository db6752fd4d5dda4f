package exchange

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/weights"
	"github.com/residual-ml/residual/weights/elements"
)

// The names and shapes of weights do not determine strides, activations or kinds of pooling. So
// the weights of one network may fit another model, which then computes something else.
// This file therefore compares what files say about a network with what the model computes.

// claim is one thing that a file says about the network of the weights.
type claim struct {
	file  string // which file, in words
	key   string // path of the entry, such as model_args.act_layer
	value any    // JSON value of the entry
	rule  rule
}

// rule reports whether a value agrees with what the model of a match computes. computed says
// in words what that is; it may be empty.
type rule func(value any, m models.Match) (ok bool, computed string)

func (c claim) String() string { return fmt.Sprintf("%s says %q: %s", c.file, c.key, shown(c.value)) }

// shown returns a value as JSON, shortened if it is long.
func shown(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprintf("%T", value)
	}
	if s, ok := value.(string); ok {
		return elements.Quote(s)
	}
	const maxBytes = 100
	if len(text) > maxBytes {
		return elements.Quote(string(text))
	}
	return string(text)
}

// remedy says how to withdraw a claim that is wrong.
func (c claim) remedy() string {
	if c.key == "name" {
		return "rename the file"
	}
	return "take that entry out"
}

// timmName returns the name of a timm network at the beginning of a file's name, such as
// resnetaa50_a1h-4cf422b3.pth, if no model here computes that network; else "".
func timmName(file string) string {
	stem, _, _ := strings.Cut(file, ".")
	stem, _, _ = strings.Cut(stem, "-")
	for stem != "" {
		if m, known := timmNets()[plainName(stem)]; known {
			if m.Entry.Name == "" {
				return stem
			}
			return ""
		}
		stem = stem[:max(strings.LastIndexByte(stem, '_'), 0)]
	}
	return ""
}

// claimsOf gathers the claims in a file and its name and, if Residual did not write the
// file, in config.json beside it.
func claimsOf(f *weights.File) ([]claim, error) {
	if own, err := checkpoint.ModelIn(f.Metadata); err == nil {
		return []claim{{file: "its metadata", key: "architecture", value: models.Title(own.Architecture, own.Blocks), rule: func(_ any, m models.Match) (bool, string) {
			e, err := models.Lookup(own.Architecture)
			return err != nil || familyKey(e) == familyKey(m.Entry), ""
		}}}, nil
	}
	var all []claim
	metadata := make(map[string]any, len(f.Metadata))
	for key, text := range f.Metadata {
		metadata[key] = text
		var nested map[string]any
		if strings.HasPrefix(strings.TrimSpace(text), "{") && json.Unmarshal([]byte(text), &nested) == nil {
			metadata[key] = nested
		}
	}
	if name := timmName(filepath.Base(f.Path)); name != "" {
		all = append(all, claim{"the file's name", "name", name, calledOther})
	}
	all = gather(all, "its metadata", "", metadata, ofNetwork)
	all = gather(all, "the checkpoint", "", f.Settings, ofNetwork)
	text, err := readSmall(filepath.Join(filepath.Dir(f.Path), configFile))
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	var config map[string]any
	if err == nil && json.Unmarshal(text, &config) == nil { // described reports a config.json that cannot be read
		all = gather(all, configFile+" beside the weights", "", config, ofNetwork)
	}
	return all, nil
}

// settings says what the entries of one object configure.
type settings int

const (
	ofNetwork   settings = iota // the network, and other things with other names
	ofArguments                 // timm's create_model: every entry is an argument of the network
	ofTraining                  // a training: it may name the network, but its other entries may mean anything
)

// within lists the entries that are objects with settings of the network.
var within = map[string]settings{
	"model_args": ofArguments, "model_kwargs": ofArguments, "pretrained_cfg": ofNetwork, "default_cfg": ofNetwork, "model_config": ofNetwork, "model": ofNetwork,
	"config": ofNetwork, "cfg": ofNetwork, "args": ofTraining, "opt": ofTraining, "hparams": ofTraining, "hyper_parameters": ofTraining, "meta": ofTraining,
}

// gather appends the claims among entries, an object at path within file.
func gather(all []claim, file, path string, entries map[string]any, of settings) []claim {
	for _, key := range slices.Sorted(maps.Keys(entries)) {
		value, full := entries[key], strings.TrimPrefix(path+"."+key, ".")
		lower := strings.ToLower(key)
		inner, isMap := value.(map[string]any)
		if nested, ok := within[lower]; ok && isMap {
			if strings.Count(full, ".") < 3 {
				all = gather(all, file, full, inner, nested)
			}
			continue
		}
		r, ok := networkNames[lower]
		if !ok && of != ofTraining {
			r, ok = rules[lower]
		}
		if !ok && of == ofArguments {
			r, ok = unknownArgument, true
		}
		if ok && r != nil && value != nil {
			all = append(all, claim{file, full, value, r})
		}
	}
	return all
}

// contradicted returns an error if a file names another network than the match, or settings
// that its model does not compute.
func (w *Weights) contradicted(m models.Match) error {
	for _, c := range w.claims {
		if ok, computed := c.rule(c.value, m); !ok {
			text := ""
			if computed != "" {
				text = ", where " + computed + " is computed"
			}
			return fmt.Errorf("its names and shapes fit %s, but %v%s: as %s the weights would give other results than in their own network; "+
				"if they belong to %s nonetheless, %s", m.Title(), c, text, m.Title(), m.Title(), c.remedy())
		}
	}
	return nil
}

// claimsName reports whether a file names the network of the match.
func (w *Weights) claimsName(m models.Match) bool {
	return w.contradicted(m) == nil && slices.ContainsFunc(w.claims, func(c claim) bool {
		return strings.HasSuffix(c.key, "architecture") || strings.HasSuffix(c.key, "arch")
	})
}

// statedName returns, in parentheses, what a file says the network is; "" if it says nothing.
func (w *Weights) statedName() string {
	for _, c := range w.claims {
		switch key := c.key[strings.LastIndex(c.key, ".")+1:]; key {
		case "architecture", "arch", "model_type", "model":
			return fmt.Sprintf(" (%v)", c)
		}
	}
	return ""
}

// networkNames maps the entries that name the network to their rules. Values of the second
// group may also be names that people gave to anything, so only the names of other networks
// contradict. gp is the pooling in the arguments of timm's training script.
var networkNames = map[string]rule{
	"architecture": architecture, "arch": architecture, "model_arch": architecture,
	"model": calledOther, "model_name": calledOther, "backbone": calledOther, "encoder_name": calledOther, "base_model": calledOther, "base_architecture": calledOther, "net": calledOther,
	"gp": pooling,
	// The configuration of mmpretrain, which is Python source. Its caffe style has the strides
	// of the paper's first version, which no shape shows.
	"cfg": caffe, "config": caffe,
}

func caffe(value any, m models.Match) (bool, string) {
	text, ok := value.(string)
	return !ok || !m.Entry.Bottleneck() || !strings.Contains(strings.ReplaceAll(text, `"`, "'"), "style='caffe'"), "style='pytorch'"
}

// rules maps the lower-case name of an entry to its rule. nil means that the entry makes no
// difference to what is computed, or that the tensors show it. An entry that is not listed
// matters only among the arguments of timm's create_model.
var rules = map[string]rule{
	// timm's arguments: https://github.com/huggingface/pytorch-image-models/blob/main/timm/models/resnet.py
	"global_pool":       pooling,
	"output_stride":     only("32", 32.0),
	"act_layer":         only("relu", "relu", "nn.relu", "torch.nn.relu"),
	"norm_layer":        only("batchnorm2d", "batchnorm2d", "batchnorm", "nn.batchnorm2d", "torch.nn.batchnorm2d"),
	"aa_layer":          only("none", "", false),
	"block":             nil,
	"block_args":        nothingIn,
	"stem_type":         only("a plain convolution", ""),
	"replace_stem_pool": only("false", false),
	"avg_down":          only("false", false),
	"attn_layer":        only("none", "", false),
	"layers":            nil, "channels": nil, "cardinality": nil, "base_width": nil, "stem_width": nil, "block_reduce_first": nil, "down_kernel_size": nil,
	"num_classes": nil, "in_chans": nil, "drop_rate": nil, "drop_path_rate": nil, "drop_block_rate": nil, "zero_init_last": nil, "img_size": nil,
	"pretrained": nil, "checkpoint_path": nil, "scriptable": nil, "exportable": nil, "no_jit": nil, "device": nil, "dtype": nil,

	// transformers' ResNetConfig:
	// https://github.com/huggingface/transformers/blob/main/src/transformers/models/resnet/configuration_resnet.py
	"model_type":                only("resnet", "resnet", "timm_wrapper", "timm_backbone"),
	"architectures":             classes,
	"hidden_act":                only("relu", "relu"),
	"downsample_in_first_stage": only("false", false),
	"downsample_in_bottleneck": func(value any, m models.Match) (bool, string) {
		return value == false || !m.Entry.Bottleneck(), "false" // basic blocks do not have this option
	},
	"layer_type": func(value any, m models.Match) (bool, string) {
		is := "basic"
		if m.Entry.Bottleneck() {
			is = "bottleneck"
		}
		return value == is, is
	},
	"depths": func(value any, m models.Match) (bool, string) {
		blocks := m.Config.Blocks
		if len(blocks) == 0 {
			blocks = m.Entry.Blocks
		}
		return equalNumbers(value, blocks), fmt.Sprint(blocks)
	},
	"hidden_sizes": func(value any, m models.Match) (bool, string) {
		widths := []int{64, 128, 256, 512}
		if m.Entry.Bottleneck() {
			widths = []int{256, 512, 1024, 2048}
		}
		return equalNumbers(value, widths), fmt.Sprint(widths)
	},
	"embedding_size": only("64", 64.0),
}

func unknownArgument(any, models.Match) (bool, string) { return false, "a network without it" }

// only accepts the listed values; words may be in upper or lower case.
func only(computed string, accepted ...any) rule {
	return func(value any, _ models.Match) (bool, string) {
		switch v := value.(type) {
		case string:
			value = strings.ToLower(v)
		case int64:
			value = float64(v)
		case map[string]any, []any:
			return false, computed
		}
		return slices.Contains(accepted, value), computed
	}
}

// pooling accepts average pooling over the image, or no pooling for a backbone.
func pooling(value any, m models.Match) (bool, string) {
	return value == "avg" || value == "fast" || value == "fastavg" || value == "" && m.Headless, "avg"
}

// nothingIn accepts an object whose entries are all null, false or empty.
func nothingIn(value any, _ models.Match) (bool, string) {
	entries, ok := value.(map[string]any)
	for _, v := range entries {
		ok = ok && (v == nil || v == "" || v == false)
	}
	return ok, "a block without it"
}

// classes accepts the names of the classes in transformers that are supported.
func classes(value any, _ models.Match) (bool, string) {
	list, ok := value.([]any)
	for _, v := range list {
		ok = ok && slices.Contains([]any{"ResNetForImageClassification", "ResNetModel", "ResNetBackbone", "TimmWrapperForImageClassification", "TimmWrapperModel", "TimmBackbone"}, v)
	}
	return ok, "ResNetForImageClassification"
}

func equalNumbers(value any, want []int) bool {
	list, ok := value.([]any)
	if !ok || len(list) != len(want) {
		return false
	}
	for i, v := range list {
		if n, ok := v.(int64); ok {
			v = float64(n)
		}
		if v != float64(want[i]) {
			return false
		}
	}
	return true
}

// architecture accepts the names by which timm or the registry knows a network with the same
// blocks as the match; the tensors determine how many blocks it has.
func architecture(value any, m models.Match) (bool, string) {
	name, ok := value.(string)
	if !ok {
		return false, ""
	}
	if match, known := networkOf(name); known {
		return match.Entry.Name != "" && familyKey(match.Entry) == familyKey(m.Entry), ""
	}
	return plainName(name) == cifarName(m), ""
}

// calledOther is architecture, but also accepts what is not the name of a network.
func calledOther(value any, m models.Match) (bool, string) {
	name, ok := value.(string)
	if !ok {
		return true, ""
	}
	match, known := networkOf(name)
	return !known || match.Entry.Name != "" && familyKey(match.Entry) == familyKey(m.Entry), ""
}

// cifarName returns the usual name of a CIFAR net, which counts its layers: resnet20.
func cifarName(m models.Match) string {
	_, kind, ok := strings.Cut(m.Entry.Name, "cifar-")
	blocks := m.Config.Blocks
	if len(blocks) == 0 {
		blocks = m.Entry.Blocks
	}
	if !ok || len(blocks) != 3 || blocks[0] != blocks[1] || blocks[1] != blocks[2] {
		return ""
	}
	return plainName(strings.TrimRight(kind, "0123456789")) + strconv.Itoa(6*blocks[0]+2)
}

// plainName returns the bare name of a network, in lower case without the owner, dashes and
// timm's tag for the weights after the dot.
func plainName(name string) string {
	name = strings.ToLower(name[strings.LastIndexAny(name, "/:")+1:])
	name, _, _ = strings.Cut(name, ".")
	return strings.NewReplacer("-", "", "_", "", " ", "").Replace(name)
}

//go:embed timm.txt
var timmText string

// timmNets maps the bare names of timm's residual networks to the match that computes the
// same, which has no entry if none does.
var timmNets = sync.OnceValue(func() map[string]models.Match {
	nets := map[string]models.Match{}
	for line := range strings.Lines(timmText) {
		words := strings.Fields(line)
		if len(words) < 2 || words[0] == "#" {
			continue
		}
		var m models.Match
		if words[1] != "-" {
			e, err := models.Lookup(words[1])
			if err != nil {
				panic(err) // a test reads the whole file
			}
			m.Entry = e
			for _, n := range strings.Split(words[2], ",") {
				blocks, err := strconv.Atoi(n)
				if err != nil {
					panic(err)
				}
				m.Config.Blocks = append(m.Config.Blocks, blocks)
			}
		}
		nets[plainName(words[0])] = m
	}
	return nets
})

// networkOf looks up the name of a network of timm or of the registry.
func networkOf(name string) (m models.Match, known bool) {
	plain := plainName(name)
	if m, known = timmNets()[plain]; known {
		return m, true
	}
	for _, own := range models.Names() {
		if plainName(own) == plain {
			m.Entry, _ = models.Lookup(own)
			return m, true
		}
	}
	e, err := models.Lookup(name) // a CIFAR net of another depth
	return models.Match{Entry: e}, err == nil
}
