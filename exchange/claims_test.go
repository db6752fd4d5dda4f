package exchange_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/residual-ml/residual/exchange"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
)

// What config.json says about a network is either computed or an error, wherever weights are read.
func TestConfigNamesTheNetwork(t *testing.T) {
	shallow := models.Config{Blocks: []int{1, 1, 1, 1}, Classes: 2}
	dirs, modules := map[string]string{}, map[string]nn.Module{}
	for _, name := range []string{"resnet18", "resnet50"} {
		_, m := net(t, name, shallow)
		dirs[name], modules[name] = filepath.Dir(foreign(t, nn.StateDict(m), same)), m
	}
	for i, c := range []struct{ net, config, refused string }{
		{"resnet18", `{"architecture": "resnet18"}`, ""},
		{"resnet50", `{"architecture": "resnet50.a1_in1k"}`, ""},
		{"resnet50", `{"architecture": "tv_resnet50", "model_args": {"num_classes": 2, "drop_rate": 0.1, "drop_path_rate": 0.05, "zero_init_last": false, "act_layer": null, "layers": [1, 1, 1, 1]}}`, ""},
		{"resnet50", `{"architecture": "resnet26"}`, ""},
		{"resnet18", `{"architecture": "resnet50"}`, `"architecture": "resnet50"`},
		{"resnet50", `{"architecture": "resnext50_32x4d"}`, `"architecture": "resnext50_32x4d"`},
		{"resnet18", `{"Architecture": "resnetblur18"}`, `"Architecture": "resnetblur18"`},
		{"resnet50", `{"architecture": "resnetaa50"}`, `"architecture": "resnetaa50"`},
		{"resnet50", `{"architecture": "hf-hub:timm/resnetblur50.bt_in1k"}`, "resnetblur50"},
		{"resnet50", `{"architecture": "something_new"}`, "something_new"},
		{"resnet50", `{"architecture": {"name": "resnet50"}}`, `{"name":"resnet50"}`},
		{"resnet50", `{"arch": "resnet50_deep"}`, "resnet50_deep"},
		{"resnet50", `{"pretrained_cfg": {"architecture": "resnetaa50"}}`, `"pretrained_cfg.architecture": "resnetaa50"`},
		{"resnet50", `{"model_name": "our-classifier"}`, ""},
		{"resnet50", `{"model_name": "seresnet50"}`, `"model_name": "seresnet50"`},

		{"resnet50", `{"architecture": "resnet50", "global_pool": "avg"}`, ""},
		{"resnet50", `{"architecture": "resnet50", "global_pool": "max"}`, `"global_pool": "max", where avg is computed`},
		{"resnet50", `{"architecture": "resnet50", "global_pool": "avgmax"}`, "avgmax"},
		{"resnet50", `{"architecture": "resnet50", "global_pool": "catavgmax"}`, "catavgmax"},
		{"resnet50", `{"architecture": "resnet50", "pretrained_cfg": {"global_pool": "max"}}`, `"pretrained_cfg.global_pool"`},
		{"resnet50", `{"architecture": "resnet50", "output_stride": 32}`, ""},
		{"resnet50", `{"architecture": "resnet50", "output_stride": 8}`, `"output_stride": 8, where 32 is computed`},
		{"resnet50", `{"architecture": "resnet50", "model_args": {"output_stride": 16}}`, `"model_args.output_stride": 16`},
		{"resnet50", `{"architecture": "resnet50", "model_args": {"act_layer": "relu"}}`, ""},
		{"resnet50", `{"architecture": "resnet50", "model_args": {"act_layer": "silu"}}`, `"model_args.act_layer": "silu", where relu`},
		{"resnet50", `{"architecture": "resnet50", "act_layer": "gelu"}`, "gelu"},
		{"resnet50", `{"architecture": "resnet50", "model_args": {"norm_layer": "groupnorm"}}`, "groupnorm"},
		{"resnet50", `{"architecture": "resnet50", "model_args": {"norm_layer": "BatchNorm2d"}}`, ""},
		{"resnet50", `{"architecture": "resnet50", "aa_layer": "avg"}`, `"aa_layer": "avg"`},
		{"resnet50", `{"architecture": "resnet50", "model_args": {"block_args": {}}}`, ""},
		{"resnet50", `{"architecture": "resnet50", "model_args": {"block_args": {"attn_layer": "eca"}}}`, `{"attn_layer":"eca"}`},
		{"resnet50", `{"architecture": "resnet50", "model_args": {"replace_stem_pool": true}}`, "replace_stem_pool"},
		{"resnet50", `{"architecture": "resnet50", "model_args": {"stem_type": "deep"}}`, `"deep"`},
		{"resnet50", `{"architecture": "resnet50", "model_args": {"avg_down": true}}`, "avg_down"},
		{"resnet50", `{"architecture": "resnet50", "model_args": {"a_new_argument": 1}}`, "a_new_argument"},

		{"resnet50", `{"model_type": "resnet", "architectures": ["ResNetForImageClassification"], "hidden_act": "relu", "layer_type": "bottleneck", "depths": [1, 1, 1, 1],
			"hidden_sizes": [256, 512, 1024, 2048], "embedding_size": 64, "downsample_in_first_stage": false, "downsample_in_bottleneck": false, "torch_dtype": "float32"}`, ""},
		{"resnet50", `{"model_type": "resnet", "downsample_in_bottleneck": true}`, `"downsample_in_bottleneck": true`},
		{"resnet18", `{"model_type": "resnet", "layer_type": "basic", "downsample_in_bottleneck": true}`, ""},
		{"resnet50", `{"model_type": "resnet", "downsample_in_first_stage": true}`, `"downsample_in_first_stage": true`},
		{"resnet50", `{"model_type": "resnet", "hidden_act": "gelu"}`, `"hidden_act": "gelu", where relu is computed`},
		{"resnet50", `{"model_type": "resnet", "layer_type": "basic"}`, `"layer_type": "basic", where bottleneck`},
		{"resnet50", `{"model_type": "resnet", "depths": [3, 4, 6, 3]}`, `"depths": [3,4,6,3], where [1 1 1 1]`},
		{"resnet50", `{"model_type": "resnet", "hidden_sizes": [64, 128, 256, 512]}`, "hidden_sizes"},
		{"resnet50", `{"model_type": "resnet", "embedding_size": 32}`, "embedding_size"},
		{"resnet50", `{"model_type": "regnet"}`, `"model_type": "regnet", where resnet is computed`},
		{"resnet50", `{"architectures": ["RegNetForImageClassification"]}`, "RegNetForImageClassification"},
		{"resnet50", `{"model_type": "timm_wrapper", "architecture": "resnetaa50"}`, "resnetaa50"},
		{"resnet50", `{"model_type": "timm_wrapper", "architecture": "resnet50", "model_args": {"act_layer": "silu"}}`, "silu"},

		{"resnet50", `{"a": 1, "b": {"architecture": "of something else"}}`, ""},
		{"resnet50", `no JSON`, ""},
	} {
		path := filepath.Join(dirs[c.net], "weights")
		if err := os.WriteFile(filepath.Join(dirs[c.net], "config.json"), []byte(c.config), 0o666); err != nil {
			t.Fatal(err)
		}
		agrees := func(how string, err error) {
			if c.refused == "" && err != nil {
				t.Errorf("%s, %s: %v", c.config, how, err)
			}
			for _, want := range []string{c.refused, "config.json beside the weights says", path} {
				if c.refused != "" && (err == nil || !strings.Contains(err.Error(), want)) {
					t.Errorf("%s, %s: want %q, got %v", c.config, how, want, err)
				}
			}
		}
		_, err := exchange.IdentifyAt(path)
		agrees("identified", err)
		if i%7 == 5 { // this case is slow
			_, _, _, err = exchange.FromWeightsAt(path, exchange.ModelConfig{})
			agrees("imported", err)
			_, _, _, err = exchange.FromWeightsAt(path, exchange.ModelConfig{Model: c.net})
			agrees("imported as "+c.net, err)
		}
		if e, _ := models.Lookup(c.net); c.net == "resnet18" { // a smaller one
			w, err := exchange.ReadWeightsAt(path)
			if err == nil {
				_, err = w.Load(modules[c.net], e)
			}
			agrees("loaded", err)
		}
	}
}
