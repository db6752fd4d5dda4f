package models

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// The names of the first and the last layer and of the stages in an entry are those of its
// network.
func TestNamesOfLayers(t *testing.T) {
	for _, name := range Names() {
		e, err := Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		ones := make([]int, len(e.Blocks))
		for i := range ones {
			ones[i] = 1
		}
		ps := nn.Parameters(e.New(Config{Blocks: ones, Blank: true}))
		if first, last := ps[0].Name, ps[len(ps)-1].Name; first != e.Stem+".weight" || last != e.Head+".bias" {
			t.Errorf("%s: the first layer is %s, not %s; the last is %s, not %s", name, first, e.Stem, last, e.Head)
		}
		if len(e.Stages) != len(e.Blocks) {
			t.Errorf("%s: %d stages with %d numbers of blocks", name, len(e.Stages), len(e.Blocks))
		}
	}
}

func TestIdentify(t *testing.T) {
	for name, c := range map[string]Config{
		"resnet18":          {Channels: 1, Classes: 7},
		"resnet34":          {Channels: 3, Classes: 1000},
		"resnet50":          {Channels: 3, Classes: 2},
		"resnext50_32x4d":   {Channels: 3, Classes: 1000},
		"wide_resnet50_2":   {Channels: 3, Classes: 1000},
		"preresnet18":       {Channels: 3, Classes: 10},
		"d2l-resnet18":      {Channels: 1, Classes: 10},
		"d2l-bnlenet":       {Channels: 1, Classes: 10},
		"cifar-preresnet20": {Channels: 3, Classes: 10},
	} {
		e, err := Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		c.Blank = true
		found := Identify(shapesOf(e.New(c)))
		c.Blank = false
		if len(found) != 1 || found[0].Entry.Name != name || !reflect.DeepEqual(found[0].Config, c) {
			t.Errorf("%s under %+v: found %v", name, c, names(found))
		}
	}
}

// Names and shapes identify networks with any numbers of blocks. Networks with and without
// additions look the same.
func TestIdentifyOthers(t *testing.T) {
	e, _ := Lookup("resnet18")
	found := Identify(shapesOf(e.New(Config{Blocks: []int{1, 2, 1, 1}, Blank: true})))
	if len(found) != 1 || found[0].Entry.Name != "resnet18" || !reflect.DeepEqual(found[0].Config.Blocks, []int{1, 2, 1, 1}) {
		t.Errorf("blocks of 1,2,1,1: %v", names(found))
	}
	// timm's resnet26 has torchvision's names.
	e, _ = Lookup("resnet50")
	found = Identify(shapesOf(e.New(Config{Blocks: []int{2, 2, 2, 2}, Blank: true})))
	if len(found) != 1 || found[0].Entry.Title(found[0].Config.Blocks) != "bottleneck ResNet like resnet50 with 2, 2, 2, 2 blocks a stage" {
		t.Errorf("resnet26: %v", found)
	}
	e, _ = Lookup("cifar-resnet32")
	shapes := shapesOf(e.New(Config{Blank: true}))
	if got := strings.Join(names(Identify(shapes)), " "); got != "cifar-plain32 cifar-resnet32" {
		t.Errorf("a net for CIFAR: %s", got)
	}
	shapes["bn1.num_batches_tracked"] = tensor.Shape{}
	if got := Identify(shapes); len(got) != 2 {
		t.Errorf("a counter of batches: %v", names(got))
	}
	shapes["extra.weight"] = tensor.Shape{3}
	if got := Identify(shapes); len(got) != 0 {
		t.Errorf("a parameter too many: %v", names(got))
	}
	delete(shapes, "extra.weight")
	shapes["layer1.0.bn1.bias"] = tensor.Shape{17}
	if got := Identify(shapes); len(got) != 0 {
		t.Errorf("a parameter of another shape: %v", names(got))
	}
	if got := Identify(nil); len(got) != 0 {
		t.Errorf("nothing: %v", names(got))
	}
}

// A backbone without its last layer is identified, and Headless is set.
func TestIdentifyBackbone(t *testing.T) {
	for _, name := range Names() {
		e, err := Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		if e.Params > 30_000_000 { // smaller ones have the same layers
			continue
		}
		shapes := shapesOf(e.New(Config{Classes: 3, Blank: true}))
		delete(shapes, e.Head+".weight")
		if _, err := e.Configured(shapes); err == nil || !strings.Contains(err.Error(), "no "+e.Head+".weight") {
			t.Errorf("%s without the weight of its last layer: %v", name, err)
		}
		delete(shapes, e.Head+".bias")
		found := Identify(shapes)
		i := slices.IndexFunc(found, func(m Match) bool { return m.Entry.Name == name })
		if i < 0 || !found[i].Headless || found[i].Config.Classes != 0 || found[i].Title() != name+" without its last layer" {
			t.Errorf("%s without its last layer: %v", name, names(found))
		}
		if len(found) > 1 && !strings.HasPrefix(name, "cifar-") {
			t.Errorf("%s without its last layer could be any of %v", name, names(found))
		}
		shapes["fc.1.weight"], shapes["fc.1.bias"] = tensor.Shape{3, 8}, tensor.Shape{3}
		if found := Identify(shapes); len(found) > 0 {
			t.Errorf("%s with another last layer is taken for %v", name, names(found))
		}
	}
}

// Title is the name of a network with its own numbers of blocks, and otherwise a description.
func TestTitle(t *testing.T) {
	for _, name := range Names() {
		e, err := Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		if e.Title(nil) != name || e.Title(e.Blocks) != name {
			t.Errorf("%s is called %q, with its own blocks %q", name, e.Title(nil), e.Title(e.Blocks))
		}
		if len(e.Blocks) == 0 {
			continue
		}
		other := slices.Repeat([]int{4}, len(e.Blocks))
		kind, rest, ok := strings.Cut(e.Title(other), " like "+name+" with 4, 4")
		if !ok || !strings.Contains(kind, " ") || strings.TrimSpace(kind) != kind || !strings.HasSuffix(rest, " blocks a stage") {
			t.Errorf("with blocks %v: %q", other, e.Title(other))
		}
	}
	for name, want := range map[string]string{
		"resnext50_32x4d": "bottleneck ResNeXt like resnext50_32x4d with 2, 2, 2, 3 blocks a stage",
		"preresnet18":     "basic-block pre-activation ResNet like preresnet18 with 2, 2, 2, 3 blocks a stage",
		"a net unknown":   "a net unknown",
	} {
		if got := Title(name, []int{2, 2, 2, 3}); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// Blank networks hold zeros where others hold random numbers.
func TestBlank(t *testing.T) {
	for _, name := range []string{"resnet18", "preresnet50", "d2l-resnet18", "cifar-resnet20", "cifar-preresnet20"} {
		e, err := Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		ones := make([]int, len(e.Blocks))
		for i := range ones {
			ones[i] = 1
		}
		for _, p := range nn.Parameters(e.New(Config{Blocks: ones, Blank: true})) {
			for _, v := range p.Value.Data() {
				if v != 0 && v != 1 { // 1 as the weight of a batch norm
					t.Fatalf("%s: %s has random values", name, p.Name)
				}
			}
		}
	}
}

func shapesOf(m nn.Module) map[string]tensor.Shape {
	shapes := map[string]tensor.Shape{}
	for _, p := range nn.Named(m) {
		shapes[p.Name] = p.Value.Shape()
	}
	return shapes
}

func names(found []Match) (all []string) {
	for _, m := range found {
		all = append(all, m.Entry.Name)
	}
	return all
}

// A state dict with the kernel of another stem is that of a variant. A 3x3 kernel does not tell the
// stride: the model's own stem comes first, and then that of 1.
func TestIdentifyStems(t *testing.T) {
	for name, want := range map[string]string{
		"resnet18-s1": "resnet18-s1", "resnet18-s2": "resnet18-s1", "preresnet18-s2": "preresnet18-s1", "resnet50-s1": "resnet50-s1",
		"resnet9-16": "resnet9-16", "resnet9-16-s2": "resnet9-16", "resnet9-16-s4": "resnet9-16-s4",
	} {
		e, err := Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		shapes := shapesOf(e.New(Config{Classes: 3, Blank: true}))
		if got := strings.Join(names(Identify(shapes)), " "); got != want {
			t.Errorf("%s is identified as %q, not as %s", name, got, want)
		}
		shapes["extra.weight"] = tensor.Shape{1}
		base, _ := Lookup(strings.Split(name, "-s")[0])
		if got := base.Nearest(shapes); got.Entry.Name != want {
			t.Errorf("the nearest variant of %s to %s is %s, not %s", base.Name, name, got.Entry.Name, want)
		}
	}
	one, _ := Lookup("resnet9-16")
	two, _ := Lookup("resnet9-16-s2")
	if (Match{Entry: one}).Same(Match{Entry: two}) || !(Match{Entry: two}).Same(Match{Entry: two}) {
		t.Error("networks with other strides of the stem are the same")
	}
}
