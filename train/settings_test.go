package train_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/optim"
	"github.com/residual-ml/residual/train"
	"github.com/residual-ml/residual/train/loop"
	"github.com/residual-ml/residual/train/recipe"
	"github.com/residual-ml/residual/train/settings"
)

// fields lists the fields of a struct that are settings, including those of embedded structs.
func fields(t reflect.Type) (all []reflect.StructField) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case name == "-" || !f.IsExported():
		case f.Anonymous:
			all = append(all, fields(f.Type)...)
		default:
			all = append(all, f)
		}
	}
	return all
}

// Every field that is written to settings.yaml has one row in the table of settings, and is
// called there as its tags call it.
func TestEveryFieldHasASetting(t *testing.T) {
	rows := map[string]int{}
	for _, s := range settings.Table() {
		rows[s.Field]++
		if _, ok := reflect.TypeFor[train.Config]().FieldByName(s.Field); !ok {
			t.Errorf("%s has a row and is no field", s.Field)
		}
	}
	all := fields(reflect.TypeFor[train.Config]())
	for _, f := range all {
		if rows[f.Name] != 1 {
			t.Errorf("the field %s has %d rows in train/settings/table.go; give it one", f.Name, rows[f.Name])
			continue
		}
		s := settings.Of(f.Name)
		for _, format := range []string{"yaml", "json"} {
			if key, _, _ := strings.Cut(f.Tag.Get(format), ","); key != s.Key {
				t.Errorf("%s is %q in %s, and its row says %q", f.Name, key, format, s.Key)
			}
		}
		if s.Help == "" {
			t.Errorf("%s has no help", f.Name)
		}
	}
	if len(all) != len(rows) || len(all) < 50 {
		t.Errorf("%d fields and %d rows", len(all), len(rows))
	}
}

// The defaults in the table are those that Resolved fills in, with and without images of the
// user's own.
func TestTableHasTheDefaults(t *testing.T) {
	named, photos := train.Config{}.Resolved(), train.Config{Data: "./none"}.Resolved()
	for _, s := range settings.Table() {
		if s.Default == "" || s.Field == "Metric" { // "" is accuracy, so that older settings.yaml stay
			continue
		}
		c := named
		if s.Photos {
			c = photos
		}
		var d train.Config
		s.SetDefault(&d)
		if is, want := reflect.ValueOf(c).FieldByName(s.Field), reflect.ValueOf(d).FieldByName(s.Field); !is.Equal(want) {
			t.Errorf("%s is %v, and the table says %s", s.Field, is, s.Default)
		}
	}
}

// The words in the table are those that the packages read.
func TestTableHasTheWords(t *testing.T) {
	var augmentations, metrics []string
	for _, a := range recipe.Augmentations() {
		augmentations = append(augmentations, a.Name)
		if about := a.Name + " (" + a.About + ")"; !strings.Contains(settings.Of("Augment").More, about) {
			t.Errorf("the help of Augment lacks %q", about)
		}
	}
	for _, m := range loop.Metrics() {
		metrics = append(metrics, string(m))
	}
	var schemes []string
	for _, s := range []nn.Scheme{nn.PyTorchDefault, nn.XavierUniform, nn.KaimingNormal} {
		schemes = append(schemes, s.String())
	}
	for field, want := range map[string][]string{
		"Optimizer": optim.Names(), "Precision": engine.PrecisionNames(), "Augment": augmentations, "Metric": metrics,
		"Init": schemes, "Interpolation": {"bilinear", "bicubic"}, "LastBatch": {train.EvenLast, train.ShortLast},
	} {
		if got := settings.Of(field).Range.Words; !slices.Equal(got, want) {
			t.Errorf("%s: the table has %v, and the packages read %v", field, got, want)
		}
	}
}

// The example of every setting can be read from a file, and is in its range.
func TestExamplesAreSettings(t *testing.T) {
	for _, s := range settings.Table() {
		if s.Field == "OwnParts" {
			continue
		}
		var c train.Config
		field := reflect.ValueOf(&c).Elem().FieldByName(s.Field)
		text := s.Key + ": " + s.Example()
		if field.Kind() == reflect.Slice {
			text = s.Key + ": [" + s.Example() + "]"
		}
		if fields, err := settings.Read([]byte(text), &c); err != nil || !slices.Equal(fields, []string{s.Field}) {
			t.Errorf("%s: %v, %v", text, fields, err)
		}
		if field.IsZero() {
			t.Errorf("%s is nothing", text)
		}
		if err := settings.Check(c); err != nil {
			t.Error(err)
		}
	}
}

// --help shows few settings, each in a line.
func TestCommonSettingsAreShort(t *testing.T) {
	common := 0
	for _, s := range settings.Table() {
		if !s.Common {
			continue
		}
		if common++; len(s.Help) > 56 || s.Flag() == "" {
			t.Errorf("the help of %s has %d letters; shorten it, and put the rest into More", s.Field, len(s.Help))
		}
	}
	if common < 12 || common > 17 {
		t.Errorf("%d settings are common; with the flags of a run they are twenty", common)
	}
}
