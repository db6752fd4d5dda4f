package exchange

import (
	"compress/gzip"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/tensor"
)

// timmTensors returns the names and shapes of timm's residual networks, with the first block
// of each stage only (testdata/timm_tensors.py).
func timmTensors(t *testing.T) map[string]*Weights {
	t.Helper()
	f, err := os.Open("testdata/timm_tensors.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var fixture struct {
		Nets map[string][][2]json.RawMessage
	}
	if err := json.NewDecoder(z).Decode(&fixture); err != nil {
		t.Fatal(err)
	}
	all := map[string]*Weights{}
	for name, tensors := range fixture.Nets {
		w := &Weights{fileShapes: map[string]tensor.Shape{}}
		for _, pair := range tensors {
			var key string
			var shape tensor.Shape
			if err := json.Unmarshal(pair[0], &key); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(pair[1], &shape); err != nil {
				t.Fatal(err)
			}
			w.names, w.fileShapes[key] = append(w.names, key), shape
		}
		w.namings = w.listNamings(w.names, "")
		all[name] = w
	}
	return all
}

// Exactly those of timm's residual networks are accepted that compute the same as
// torchvision's; testdata/timm_names.py compared the logits. The error of the others says
// which tensors differ from the nearest network.
func TestTimmNets(t *testing.T) {
	nets := timmTensors(t)
	if len(nets) < 170 {
		t.Fatalf("%d nets", len(nets))
	}
	taken, refused := 0, 0
	for name, w := range nets {
		want, known := timmNets()[plainName(name)]
		if !known {
			t.Errorf("%s stands not in timm.txt", name)
			continue
		}
		found, err := w.chooseModel("")
		ours := want.Entry.Name != ""
		if err != nil {
			refused++
			if ours {
				t.Errorf("%s is refused: %v", name, err)
			}
			// resnet50_gn has no tensor that resnet50 does not have.
			if !slices.ContainsFunc(append(w.names, "bn1.running_mean"), func(key string) bool { return strings.Contains(err.Error(), key+" ") }) {
				t.Errorf("%s: no tensor is named by %v", name, err)
			}
			continue
		}
		for _, said := range []string{name, "timm/" + name + ".a1_in1k"} {
			w.claims = gather(nil, "config.json", "", map[string]any{"architecture": said, "num_classes": 4.0, "global_pool": "avg"}, ofNetwork)
			err = w.contradicted(found)
			if ours != (err == nil) {
				t.Errorf("%s, as %s, called %s: %v", name, found.Title(), said, err)
			}
		}
		if err == nil {
			taken++
			if familyKey(found.Entry) != familyKey(want.Entry) {
				t.Errorf("%s is taken as %s", name, found.Title())
			}
		} else if !strings.Contains(err.Error(), `"architecture": "timm/`+name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if taken < 12 || refused < 150 {
		t.Errorf("%d nets are taken and %d refused by their tensors", taken, refused)
	}
}

// Every name of the registry and of timm.txt can be looked up.
func TestNetworkNames(t *testing.T) {
	for _, name := range models.Names() {
		if m, known := networkOf(name); !known || m.Entry.Family == "" {
			t.Errorf("%s is not known", name)
		}
	}
	for name, want := range map[string]string{
		"resnet50": "resnet50", "resnet50.a1_in1k": "resnet50", "timm/resnet50.tv_in1k": "resnet50", "tv_resnet50": "resnet50", "microsoft/resnet-50": "resnet50",
		"wide_resnet50_2": "wide_resnet50_2", "resnext50_32x4d": "resnext50_32x4d", "gluon_resnet50_v1b": "resnet50", "ssl_resnet18": "resnet18", "swsl_resnext50_32x4d": "resnext50_32x4d",
		"ResNet18": "resnet18", "resnet26": "resnet50", "cifar-resnet26": "cifar-resnet26",
		"resnetaa50": "", "resnetblur50": "", "resnet50d": "", "gluon_resnet50_v1c": "", "ecaresnet50d": "", "seresnet50": "", "resnet50_gn": "", "ig_resnext101_32x16d": "",
	} {
		if m, known := networkOf(name); !known || m.Entry.Name != want {
			t.Errorf("%s is %q, known: %v; want %q", name, m.Entry.Name, known, want)
		}
	}
	if m, known := networkOf("my-classifier"); known {
		t.Errorf("my-classifier is %s", m.Entry.Name)
	}
}

// Exactly those settings are accepted with which a network computes the same as
// torchvision's; testdata/claims.py compared the logits.
func TestSettingsOfNetworks(t *testing.T) {
	text, err := os.ReadFile("testdata/claims.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Net    string
		Config map[string]any
		Same   bool
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	refused := 0
	for _, c := range cases {
		e, err := models.Lookup(c.Net)
		if err != nil {
			t.Fatal(err)
		}
		w := Weights{claims: gather(nil, "config.json", "", c.Config, ofNetwork)}
		err = w.contradicted(models.Match{Entry: e, Config: models.Config{Blocks: []int{1, 1, 1, 1}}})
		if c.Same != (err == nil) {
			t.Errorf("%s under %v computes the same: %v, but %v", c.Net, c.Config, c.Same, err)
		}
		if err != nil {
			refused++
		}
	}
	if refused < 20 || len(cases)-refused < 30 {
		t.Errorf("%d of %d are refused", refused, len(cases))
	}
}

// The settings of checkpoints and the metadata of safetensors files are claims about a network, too.
func TestFilesNameNetworks(t *testing.T) {
	e, err := models.Lookup("resnet50")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		settings map[string]any
		refused  string
	}{
		{map[string]any{"arch": "resnet50", "epoch": int64(3)}, ""},
		{map[string]any{"arch": "resnetaa50"}, `says "arch": "resnetaa50"`},
		{map[string]any{"args": map[string]any{"model": "resnet50", "lr": 0.1, "act_layer": "odd", "layers": []any{int64(1)}}}, ""},
		{map[string]any{"args": map[string]any{"model": "resnetblur50"}}, `says "args.model": "resnetblur50"`},
		{map[string]any{"args": map[string]any{"model": "of a customer"}}, ""},
		{map[string]any{"args": map[string]any{"model": "resnet50", "gp": nil}}, ""},
		{map[string]any{"args": map[string]any{"model": "resnet50", "gp": "max"}}, `says "args.gp": "max"`},
		{map[string]any{"args": map[string]any{"model": "resnet50", "model_kwargs": map[string]any{"act_layer": "silu"}}}, `"args.model_kwargs.act_layer": "silu"`},
		{map[string]any{"hyper_parameters": map[string]any{"backbone": "resnet50", "arch": "seresnet50"}}, `"hyper_parameters.arch": "seresnet50"`},
		{map[string]any{"meta": map[string]any{"cfg": "model = dict(backbone=dict(type='ResNet', depth=50, style='pytorch'))"}}, ""},
		{map[string]any{"meta": map[string]any{"cfg": "model = dict(backbone=dict(type='ResNet', depth=50, style=\"caffe\"))"}}, `says "meta.cfg"`},
		{map[string]any{"config": `{"architecture": "resnetaa50"}`}, ""}, // JSON in a string
	} {
		w := Weights{claims: gather(nil, "the checkpoint", "", c.settings, ofNetwork)}
		err := w.contradicted(models.Match{Entry: e})
		if c.refused == "" && err != nil || c.refused != "" && (err == nil || !strings.Contains(err.Error(), "the checkpoint says ") || !strings.Contains(err.Error(), c.refused)) {
			t.Errorf("%v: %v", c.settings, err)
		}
	}
	for file, want := range map[string]string{
		"resnetaa50_a1h-4cf422b3.pth": "resnetaa50", "resnetblur50-84f4748f.pth": "resnetblur50", "ResNetBlur18.safetensors": "ResNetBlur18",
		"resnet50_a1_0-14fe96d1.pth": "", "resnet50-0676ba61.pth": "", "model.safetensors": "", "dog.pth": "", "wide_resnet50_2-95faca4d.pth": "", "": "",
	} {
		if got := timmName(file); got != want {
			t.Errorf("%s is called %q, want %q", file, got, want)
		}
	}
}
