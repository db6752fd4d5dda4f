package field

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
)

func flag(field string) string { return "--" + strings.ToLower(strings.ReplaceAll(field, ".", "-")) }

func TestRender(t *testing.T) {
	batch := Errorf("{Batch} %d: must be at least 1", 0)
	for _, c := range []struct {
		err         error
		plain, flag string
	}{
		{batch, "Batch 0: must be at least 1", "--batch 0: must be at least 1"},
		{fmt.Errorf("a.yaml: %w; mend it", batch), "a.yaml: Batch 0: must be at least 1; mend it", "a.yaml: --batch 0: must be at least 1; mend it"},
		{Errorf("{Data}: %w (%v)", batch, fs.ErrNotExist), "Data: Batch 0: must be at least 1 (file does not exist)", "--data: --batch 0: must be at least 1 (file does not exist)"},
		{fmt.Errorf("%w, %w", batch, Errorf("{EMA} 2")), "Batch 0: must be at least 1, EMA 2", "--batch 0: must be at least 1, --ema 2"},
		{errors.Join(Errorf("{EMA} 2"), batch), "EMA 2\nBatch 0: must be at least 1", "--ema 2\n--batch 0: must be at least 1"},
		{Errorf("name another folder with {Options.Dir}"), "name another folder with Options.Dir", "name another folder with --options-dir"},
		{Errorf("%s of %v", "{Batch}", 100), "{Batch} of 100", "{Batch} of 100"}, // a value, not a field
		{Errorf("%s %d", Name("EMA"), 2), "EMA 2", "--ema 2"},
		{errors.New("{Batch} is left alone"), "{Batch} is left alone", "{Batch} is left alone"},
	} {
		if got := c.err.Error(); got != c.plain {
			t.Errorf("%q, want %q", got, c.plain)
		}
		if got := Render(c.err, flag); got != c.flag {
			t.Errorf("with flags %q, want %q", got, c.flag)
		}
	}
	if err := fmt.Errorf("x: %w", Errorf("{Data}: %w", fs.ErrNotExist)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v wraps nothing", err)
	}
	if got := Marks("{LR} and {Options.Dir}, no {batch}"); !slices.Equal(got, []string{"LR", "Options.Dir"}) {
		t.Error(got)
	}
}

func TestInText(t *testing.T) {
	for text, want := range map[string]string{
		"Config.Mean and Config.Std give others": "--mean and --std give others",
		"MyConfig.Mean, Config.mean and Config.": "MyConfig.Mean, Config.mean and Config.",
		"nothing":                                "nothing",
	} {
		if got := InText(text, "Config", flag); got != want {
			t.Errorf("%q became %q", text, got)
		}
	}
}
