package pth

import (
	"reflect"
	"testing"
)

// Settings returns plain values up to a limit of depth and length.
func TestSettings(t *testing.T) {
	d := func(pairs ...any) *dict {
		m, d := &machine{}, &dict{}
		for i := 0; i < len(pairs); i += 2 {
			if err := m.put(d, pairs[i], pairs[i+1]); err != nil {
				t.Fatal(err)
			}
		}
		return d
	}
	round := d("arch", "deep")
	if err := (&machine{}).put(round, "self", round); err != nil {
		t.Fatal(err)
	}
	long := make([]any, 1000)
	for i := range long {
		long[i] = int64(i)
	}
	top := d(
		"state_dict", d("a", &view{}), "arch", "resnet50", "epoch", int64(7), "best", 0.5, "none", nil, "amp", true,
		"args", &inert{"argparse.Namespace", d("model", "resnetaa50", "sizes", &tuple{items: []any{int64(1), &view{}, "x"}}, "device", &inert{class: "torch.device"})},
		int64(3), "three", "history", &list{items: long}, "round", round, "\xff", "odd", "weights", &view{},
	)
	_, _, err := stateDict(top)
	if err != nil {
		t.Fatal(err)
	}
	got := settingsOf(top, map[string]bool{"state_dict": true})
	if n := len(got["history"].([]any)); n != longestList {
		t.Errorf("a list of %d", n)
	}
	depth := 0
	for inner, ok := got["round"].(map[string]any); ok; inner, ok = inner["self"].(map[string]any) {
		depth++
	}
	if depth == 0 || depth > deepestSetting {
		t.Errorf("a dict within itself is %d deep", depth)
	}
	delete(got, "history")
	delete(got, "round")
	want := map[string]any{
		"arch": "resnet50", "epoch": int64(7), "best": 0.5, "none": nil, "amp": true,
		"args": map[string]any{"model": "resnetaa50", "sizes": []any{int64(1), "x"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("settings %v, want %v", got, want)
	}
}
