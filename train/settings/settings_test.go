package settings

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the tables of docs/settings.md")

// config has fields of every kind, one of them in an embedded struct.
type config struct {
	Preparation
	Batch          int
	LabelSmoothing float64
	LayerDecay     float64
	LR             float32
	Metric         string
	Blocks         []int
	Epochs         int
	Precision      uint8 // of another kind than the row's
}

type Preparation struct {
	Std     []float64
	Holdout float64
}

// int8 is a precision, but not one of training.
func TestCheckInt8(t *testing.T) {
	const want = "Precision int8 is for using a quantised model and trains none; train with one of: auto, bf16, tf32, fp32, then quantise the trained model"
	if err := Check(struct{ Precision string }{"int8"}); err == nil || err.Error() != want {
		t.Errorf("%v, want %q", err, want)
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		config config
		want   string // "" where all is allowed
	}{
		{config{}, ""},
		{config{Batch: 1, LabelSmoothing: 0.999, LayerDecay: 1, LR: 1e-30, Metric: "macro-f1", Precision: 9}, ""},
		{config{Batch: 1 << 20}, ""},
		{config{Batch: 1<<20 + 1}, "Batch 1048577: must be from 1 to 1048576"},
		{config{Batch: -1}, "Batch -1: must be from 1 to 1048576"},
		{config{LabelSmoothing: 1}, "LabelSmoothing 1: must be a share from 0 to below 1, such as 0.1"},
		{config{LabelSmoothing: math.NaN()}, "LabelSmoothing NaN: must be a share from 0 to below 1, such as 0.1"},
		{config{LayerDecay: 1.5}, "LayerDecay 1.5: must be a factor above 0, at most 1, such as 0.8"},
		{config{LR: -0.05}, "LR -0.05: must be a number above 0, at most 1000, such as 0.05"},
		{config{LR: float32(math.Inf(1))}, "LR +Inf: must be a number above 0, at most 1000, such as 0.05"},
		{config{Metric: "f1"}, "Metric f1 is not known; choose one of: accuracy, loss, macro-f1, balanced-accuracy, map, mae, rmse, r2, iou"},
		{config{Preparation: Preparation{Holdout: 1}}, "Holdout 1: must be a share from 0 to below 1, such as 0.2"},
		{config{Preparation: Preparation{Std: []float64{1, 0.5}}}, ""},
		{config{Preparation: Preparation{Std: []float64{1, 0}}}, "Std 1,0: must be a number above 0 for each channel, of pixels from 0 to 1, such as 0.229,0.224,0.225"},
	} {
		err := Check(c.config)
		if c.want == "" && err == nil {
			continue
		}
		if err == nil || err.Error() != c.want {
			t.Errorf("%+v: %v, want %q", c.config, err, c.want)
			continue
		}
		e := new(Error)
		if !errors.As(err, &e) || Of(e.Field).Key != e.Key {
			t.Errorf("%v is %+v", err, e)
		}
		if named := e.Named(func(field string) string { return "--" + Of(field).Flag() }); named != strings.Replace(c.want, e.Field, "--"+Of(e.Field).Flag(), 1) {
			t.Errorf("with flags: %s", named)
		}
	}
}

func TestCompare(t *testing.T) {
	base := config{Batch: 2, Blocks: []int{1, 2}, Epochs: 3}
	for _, c := range []struct {
		change func(*config)
		want   string // key, was and is; "" where a run may go on
	}{
		{func(c *config) {}, ""},
		{func(c *config) { c.Epochs = 4 }, ""}, // a run may be made longer
		{func(c *config) { c.Batch = 3 }, "batch 2 3"},
		{func(c *config) { c.Blocks = nil }, "blocks 1,2 the model's own"},
		{func(c *config) { c.Std = []float64{0.5, 1} }, "std as for --mean 0.5,1"},
		{func(c *config) { c.Std = []float64{} }, ""},
		{func(c *config) { c.Holdout = 0.1 }, "holdout 0 0.1"},
	} {
		changed := base
		c.change(&changed)
		got := ""
		if d := Compare(base, changed); d != nil {
			got = fmt.Sprint(d.Key, " ", d.Was, " ", d.Is)
		}
		if got != c.want {
			t.Errorf("%+v: %q, want %q", changed, got, c.want)
		}
	}
}

func TestForPhotos(t *testing.T) {
	if s := ForPhotos(config{Preparation: Preparation{Std: []float64{1}}}); s != nil {
		t.Errorf("%+v", s)
	}
	if s := ForPhotos(config{Preparation: Preparation{Holdout: 0.5}}); s == nil || s.Field != "Holdout" {
		t.Errorf("%+v", s)
	}
}

func TestRowsAreComplete(t *testing.T) {
	fields, keys := map[string]bool{}, map[string]bool{}
	group := Data
	for _, s := range Table() {
		if fields[s.Field] || keys[s.Key] {
			t.Errorf("%s or %s stands twice", s.Field, s.Key)
		}
		fields[s.Field], keys[s.Key] = true, true
		sentences := map[string]bool{}
		for sentence := range strings.SplitSeq(s.More, ".") {
			if sentence = strings.TrimSpace(sentence); len(strings.Fields(sentence)) > 2 && sentences[sentence] {
				t.Errorf("%s says twice %q", s.Field, sentence)
			}
			sentences[sentence] = true
		}
		if s.Group < group {
			t.Errorf("%s stands behind the group %v", s.Field, group)
		}
		group = s.Group
		if s.Default != "" && s.Otherwise != "" {
			t.Errorf("%s has two defaults", s.Field)
		}
		if s.Default != "" && s.Range.Words != nil && !s.Range.allows(reflect.ValueOf(s.Default)) {
			t.Errorf("%s cannot be its default %s", s.Field, s.Default)
		}
	}
}

// The tables of docs/settings.md are those of the table in this package.
func TestPage(t *testing.T) {
	const path, start = "../../docs/settings.md", "<!-- what follows is made from train/settings/table.go -->\n"
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, table, found := strings.Cut(string(page), start)
	if !found {
		t.Fatalf("%s has no line %q", path, start)
	}
	want := tables()
	if *update {
		if err := os.WriteFile(path, []byte(head+start+want), 0o666); err != nil {
			t.Fatal(err)
		}
	} else if table != want {
		t.Errorf("%s does not end with the tables of table.go; `go test ./train/settings -run TestPage -update` puts them there", path)
	}
}

// tables are the rows in Markdown, a table for each group.
func tables() string {
	var b strings.Builder
	for g := Data; g <= NoFlag; g++ {
		fmt.Fprintf(&b, "\n## %v\n\n| flag | key | field | what it may be | default | fixed | what it does |\n|---|---|---|---|---|---|---|\n", g)
		for _, s := range In(g) {
			flag, fixed, may, otherwise := "", "", s.Range.Text(), s.Otherwise
			if s.Flag() != "" {
				flag = "`--" + s.Flag() + "`"
			}
			if s.Result {
				fixed = "yes"
			}
			if s.Photos {
				fixed = strings.TrimPrefix(fixed+", for your own images", ", ")
			}
			if s.Default != "" {
				otherwise = "`" + s.Default + "`"
			}
			if s.Recipe {
				otherwise = strings.TrimPrefix(otherwise+", or by recipe", ", or ")
			}
			fmt.Fprintf(&b, "| %s | `%s` | `%s` | %s | %s | %s | %s |\n", flag, s.Key, s.Field, may, otherwise, fixed, s.Text())
		}
	}
	return b.String()
}
