package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// write creates a file in dir.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// folder creates a run folder of two epochs with the given final loss.
func folder(t *testing.T, seed, loss string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "settings.yaml", `model: d2l-resnet18
data: fashion-mnist
batch: 256
lr: 0.05
epochs: 3
seed: `+seed+`
precision: bf16
threads: 2
out: /somewhere
residual_version: v1.2.3
`)
	write(t, dir, "metrics.jsonl", `{"epoch":0.5,"step":2,"train_loss":9,"train_acc":0.1,"seconds":1}
{"epoch":1,"step":4,"train_loss":0.5,"train_acc":0.8,"test_loss":1,"test_acc":0.91,"images_per_second":150,"seconds":60}
{"epoch":2,"step":8,"train_loss":`+loss+`,"train_acc":0.9,"test_loss":1,"test_acc":0.85,"images_per_second":151,"seconds":125.4}
`)
	return dir
}

// recorded calls the program with args and returns the document.
func recorded(t *testing.T, out string, args ...string) string {
	t.Helper()
	if err := run(t.Context(), append(args, "-out", out), io.Discard, io.Discard); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestRecordRuns(t *testing.T) {
	out := filepath.Join(t.TempDir(), "b.md")
	recorded(t, out, "-run", folder(t, "0", "0.5"))
	recorded(t, out, "-run", folder(t, "0", "0.25"), "-note", "on a train") // replaces the first one
	recipe := write(t, t.TempDir(), "log", `{"epoch": 1, "loss": 0.4955, "train_acc": 0.8282, "test_acc": 0.868, "images_per_second_with_loading": 72.6, "seconds": 100, "threads": 2, "torch": "9.9", "precision": "bf16", "layout": "channels_last", "seed": 7, "batch": 256, "lr": 0.05, "train_size": 60000, "test_size": 10000}
{"epoch": 2, "loss": 0.2, "train_acc": 0.9, "test_acc": 0.8, "images_per_second_with_loading": 73.1, "seconds": 101, "threads": 2, "torch": "9.9", "precision": "bf16", "layout": "channels_last", "seed": 7, "batch": 256, "lr": 0.05, "train_size": 60000, "test_size": 10000}
`)
	text := recorded(t, out, "-recipe", recipe)
	for _, want := range []string{
		`"loss 0.012, train acc 0.997, test acc 0.893"`,
		"| Residual v1.2.3 | d2l-resnet18, fashion-mnist, batch 256, lr 0.05 | bf16 | 0 | 2 of 3 | 0.250 | 0.900 | 0.850 | 0.910 (epoch 1) | 2 min 05 s | 151.0 | on a train |",
		"| PyTorch 9.9 | d2l-resnet18, fashion-mnist, batch 256, lr 0.05 | bf16 channels last | 7 | 2 | 0.200 | 0.900 | 0.800 | 0.868 (epoch 1) | 3 min 21 s | 73.1 |  |",
		"| epoch | Residual v1.2.3, bf16, seed 0 | PyTorch 9.9, bf16 channels last, seed 7 |",
		"| 1 | 0.500, 0.800, 0.910 | 0.495, 0.828, 0.868 |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the document does not say %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "0.500, 0.900") || strings.Contains(text, "/somewhere") || strings.Contains(text, "Over the seeds") {
		t.Errorf("the document says too much:\n%s", text)
	}
}

func TestSeedsStandTogether(t *testing.T) {
	out := filepath.Join(t.TempDir(), "b.md")
	recorded(t, out, "-run", folder(t, "0", "0.25"))
	recorded(t, out, "-run", folder(t, "1", "0.35"))
	text := recorded(t, out, "-run", folder(t, "2", "0.27"))
	if want := "| bf16 | 2 of 3 | 0, 1, 2 | 0.270 (0.250 to 0.350) | 0.900 | 0.850 |"; !strings.Contains(text, want) {
		t.Errorf("the document does not say %q:\n%s", want, text)
	}
}

func TestLossThatIsNoNumber(t *testing.T) {
	out := filepath.Join(t.TempDir(), "b.md")
	recorded(t, out, "-run", folder(t, "0", `"NaN"`))
	if text := recorded(t, out, "-run", folder(t, "1", "0.5")); !strings.Contains(text, "| NaN |") {
		t.Errorf("the document has lost the NaN:\n%s", text)
	}
}

func TestRecordComplains(t *testing.T) {
	unfinished := folder(t, "0", "1")
	write(t, unfinished, "metrics.jsonl", `{"epoch":0.5,"step":2,"train_loss":9,"train_acc":0.1,"seconds":1}`)
	damaged := folder(t, "0", "1")
	write(t, damaged, "metrics.jsonl", "{\n")
	other := write(t, t.TempDir(), "log", `{"loss": 1}`+"\n")
	for _, c := range []struct{ flag, path, want string }{
		{"-run", t.TempDir(), "not a run folder"},
		{"-run", unfinished, "no epoch is over"},
		{"-run", damaged, "metrics.jsonl, line 1"},
		{"-recipe", other, "not what torch_recipe.py prints"},
		{"-recipe", other + "?", "no such file"},
	} {
		out := filepath.Join(t.TempDir(), "b.md")
		var log bytes.Buffer
		err := run(t.Context(), []string{c.flag, c.path, "-out", out}, io.Discard, &log)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error that says %q", c.flag, err, c.want)
		}
		if _, err := os.Stat(out); err == nil {
			t.Errorf("%s: a document was written all the same", c.flag)
		}
	}
}
