package nearest

import (
	"slices"
	"strings"
	"testing"
)

func TestOf(t *testing.T) {
	names := strings.Fields("resnet18 resnet34 resnet50 cifar-resnet20 wide-resnet50-2 fashion-mnist mnist garments summary ankle-boot")
	for word, want := range map[string]string{
		"resnet18":     "resnet18",
		"ResNet-18":    "resnet18",
		"resent18":     "resnet18",
		"resnet19":     "resnet18",
		"resnet":       "resnet18 resnet34 resnet50",
		"cifarresnet":  "cifar-resnet20",
		"sumary":       "summary",
		"fashonmnist":  "fashion-mnist",
		"FashionMNIST": "fashion-mnist",
		"garment":      "garments",
		"ankle boot":   "ankle-boot",
		"boot":         "ankle-boot",
		"xyzzy":        "",
		"":             "",
		"-":            "",
	} {
		if got := Of(word, names); !slices.Equal(got, strings.Fields(want)) {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
}

func TestQuestion(t *testing.T) {
	names := []string{"a1", "a2", "a3", "summary"}
	for word, want := range map[string]string{"sumary": "did you mean <summary>?", "a4": "did you mean <a1>, <a2> or <a3>?", "zzzzz": ""} {
		if got := Question(word, names, "<%s>"); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
	if names[0] != "a1" {
		t.Error("the names were changed")
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "ab", 2}, {"ab", "ba", 1}, {"abc", "abd", 1}, {"abc", "ac", 1}, {"kitten", "sitting", 3}, {"é", "e", 1}} {
		if got, back := distance(c.a, c.b), distance(c.b, c.a); got != c.want || back != c.want {
			t.Errorf("%q and %q: %d and %d, want %d", c.a, c.b, got, back, c.want)
		}
	}
}
