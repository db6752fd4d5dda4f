package exchange_test

import (
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/exchange"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/prepare"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/onnx"
)

// Weights are found under the names that other programs give them, and a note says what changed.
func TestForeignNames(t *testing.T) {
	e, m := net(t, "resnet18", models.Config{Blocks: []int{1, 1, 1, 1}, Classes: 5})
	prefixed := func(prefix string) func(string) string {
		return func(name string) string { return prefix + name }
	}
	parts := func(trunk, head string) func(string) string {
		return func(name string) string {
			if rest, ok := strings.CutPrefix(name, "fc."); ok {
				return head + rest
			}
			return trunk + name
		}
	}
	extra := func(names ...string) (more []tensor.Named) {
		for _, name := range names {
			more = append(more, tensor.Named{Name: name, Tensor: tensor.New(5)})
		}
		return more
	}
	_, second := net(t, "resnet18", models.Config{Blocks: []int{1, 1, 1, 1}, Classes: 5})
	copied := func(prefix string) (more []tensor.Named) {
		for _, s := range nn.StateDict(second) {
			more = append(more, tensor.Named{Name: prefix + s.Name, Tensor: s.Tensor.Clone().Fill(0.5)})
		}
		return more
	}
	for what, c := range map[string]struct {
		rename func(string) string
		more   []tensor.Named
		ignore []string
		note   string
		err    string
	}{
		"Lightning's":               {rename: prefixed("model."), more: extra("criterion.weight"), note: "left out, as of the loss and of metrics and not of the network: criterion.weight [5]"},
		"a loss beside plain names": {rename: same, more: extra("loss_fn.pos_weight", "train_acc.confmat"), note: "loss_fn.pos_weight [5], train_acc.confmat [5]"},
		"a loss within":             {rename: prefixed("model."), more: extra("model.criterion.weight"), note: "model.criterion.weight"},
		"DistributedDataParallel's": {rename: prefixed("module.")},
		"torch.compile's":           {rename: prefixed("_orig_mod.")},
		"both":                      {rename: prefixed("module._orig_mod.")},
		"FSDP's": {rename: func(name string) string {
			return "_fsdp_wrapped_module." + strings.Replace(name, ".0.", "._fsdp_wrapped_module.0.", 1)
		}},
		"averages alone":                   {rename: prefixed("module."), more: extra("n_averaged"), note: "n_averaged"},
		"mmpretrain's":                     {rename: parts("backbone.", "head.fc.")},
		"a head within a module":           {rename: parts("model.backbone.", "model.head.fc.")},
		"a head of the same name":          {rename: parts("backbone.", "fc.")},
		"a classifier":                     {rename: parts("backbone.", "classifier."), note: "the last layer fc is classifier in the file"},
		"a head behind dropout":            {rename: parts("", "fc.1."), note: "the last layer fc is fc.1 in the file; layers without weights beside it, such as dropout, are taken to change nothing"},
		"that with a prefix":               {rename: parts("model.", "model.fc.1."), more: extra("criterion.weight"), note: "criterion.weight"},
		"last_linear":                      {rename: parts("", "last_linear."), note: "last_linear"},
		"an average beside it":             {rename: prefixed("ema_model."), more: copied("model."), note: `that under "ema_model." is taken, whose weights are averaged, not that under "model."`},
		"two networks":                     {rename: prefixed("encoder_q."), more: copied("encoder_k."), err: "62 unexpected (encoder_q.conv1.weight"},
		"one of two networks":              {rename: prefixed("encoder_q."), more: append(copied("encoder_k."), extra("queue")...), ignore: []string{"encoder_k", "queue."}},
		"an unknown tensor":                {rename: prefixed("model."), more: extra("scale"), err: "1 unexpected (scale [5])"},
		"that left out":                    {rename: prefixed("model."), more: extra("scale"), ignore: []string{"scale"}},
		"a block with more":                {rename: same, more: extra("layer1.0.se.fc1.weight"), err: "1 unexpected (layer1.0.se.fc1.weight [5])"},
		"a head with a batch norm":         {rename: parts("", "fc.1."), more: extra("fc.0.weight", "fc.0.bias", "fc.0.running_mean"), err: "fc.0.weight [5]"},
		"a second layer behind the logits": {rename: prefixed("backbone."), more: append(extra("classifier.bias"), tensor.Named{Name: "classifier.weight", Tensor: tensor.New(5, 5)}), err: "unexpected (classifier."},
		"a projection":                     {rename: parts("encoder.", "projector."), err: "projector.weight [5, 512]"},
	} {
		path := foreign(t, append(nn.StateDict(m), c.more...), same)
		if c.rename != nil {
			var state []tensor.Named
			for _, s := range nn.StateDict(m) {
				state = append(state, tensor.Named{Name: c.rename(s.Name), Tensor: s.Tensor})
			}
			path = foreign(t, append(state, c.more...), same)
		}
		got, info, notes, err := exchange.FromWeightsAt(path, exchange.ModelConfig{Ignore: c.ignore, Classes: strings.Split("abcde", "")})
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) || !strings.Contains(err.Error(), "from the nearest, basic-block ResNet like resnet18 with 1, 1, 1, 1 blocks") {
				t.Errorf("%s: want %q, got %v", what, c.err, err)
			}
			var d *exchange.Difference
			if lone := what == "an unknown tensor" || what == "a second layer behind the logits"; !errors.As(err, &d) || lone != (len(d.Surplus()) > 0) {
				t.Errorf("%s: to be left out %q", what, d.Surplus())
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		sameState(t, what, got, m)
		if info.Architecture != e.Name || (c.note == "") != (len(notes) == 0) || !strings.Contains(strings.Join(notes, "\n"), c.note) {
			t.Errorf("%s: %s, notes %q, want %q", what, info.Architecture, notes, c.note)
		}
	}
}

// Load accepts the same names and gives the same notes.
func TestLoadForeignNames(t *testing.T) {
	e, m := net(t, small, models.Config{})
	state := append(nn.StateDict(m), tensor.Named{Name: "criterion.weight", Tensor: tensor.New(10)})
	w, err := exchange.ReadWeightsAt(foreign(t, state, func(name string) string {
		return strings.Replace(name, "fc.", "fc.1.", 1)
	}))
	if err != nil {
		t.Fatal(err)
	}
	_, to := net(t, small, models.Config{})
	for _, s := range nn.StateDict(to) {
		s.Tensor.Fill(0)
	}
	changes, err := w.Load(to, e)
	if err != nil {
		t.Fatal(err)
	}
	sameState(t, "loaded", to, m)
	if !slices.ContainsFunc(changes, func(c string) bool { return strings.Contains(c, "criterion.weight") }) || !slices.ContainsFunc(changes, func(c string) bool { return strings.Contains(c, "fc is fc.1") }) {
		t.Errorf("changes %q", changes)
	}
}

// Load takes the weights of the model that an ONNX graph computes.
func TestLoadONNX(t *testing.T) {
	e, m := net(t, "cifar-resnet8", models.Config{})
	graph, err := exchange.Export(m, exchange.ExportConfig{Input: prepare.Input{Channels: 3, Height: 32, Width: 32}, Fold: true})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "folded.onnx")
	if err := checkpoint.WriteFile(path, func(w io.Writer) error { return onnx.Write(w, graph) }); err != nil {
		t.Fatal(err)
	}
	want, _, _, err := exchange.FromWeightsAt(path, exchange.ModelConfig{})
	if err != nil {
		t.Fatal(err)
	}
	w, err := exchange.ReadWeightsAt(path)
	if err != nil {
		t.Fatal(err)
	}
	_, to := net(t, "cifar-resnet8", models.Config{})
	changes, err := w.Load(to, e)
	if err != nil || len(changes) != 1 || !strings.Contains(changes[0], "batch norms are folded") {
		t.Errorf("changes %q, %v", changes, err)
	}
	sameState(t, "folded", to, want)
	for _, v := range nn.StateDict(to) {
		v.Tensor.Data()[0]++ // the graph must not share memory with a module
	}
	_, again := net(t, "cifar-resnet8", models.Config{})
	if _, err := w.Load(again, e); err != nil {
		t.Error(err)
	}
	sameState(t, "loaded again", again, want)
	plain, p := net(t, "cifar-plain8", models.Config{})
	if _, err := w.Load(p, plain); err == nil || !strings.Contains(err.Error(), "not cifar-plain8") {
		t.Errorf("as a plain net: %v", err)
	}
	found, err := exchange.IdentifyAt(path)
	if err != nil || len(found) != 1 || found[0].Entry.Family != e.Family {
		t.Errorf("identified as %+v, %v", found, err)
	}
}
