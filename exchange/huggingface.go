package exchange

import (
	"regexp"
	"strconv"
	"strings"
)

// huggingFace translates the names of ResNetForImageClassification and ResNetModel in
// https://github.com/huggingface/transformers/blob/main/src/transformers/models/resnet/modeling_resnet.py
// into torchvision's.
var huggingFace = []struct {
	pattern *regexp.Regexp
	name    func(groups []string) string
}{
	{regexp.MustCompile(`^(?:resnet\.)?embedder\.embedder\.convolution\.(\w+)$`), func(g []string) string { return "conv1." + g[1] }},
	{regexp.MustCompile(`^(?:resnet\.)?embedder\.embedder\.normalization\.(\w+)$`), func(g []string) string { return "bn1." + g[1] }},
	{regexp.MustCompile(`^(?:resnet\.)?encoder\.stages\.(\d+)\.layers\.(\d+)\.layer\.(\d+)\.(convolution|normalization)\.(\w+)$`),
		func(g []string) string {
			kind := "bn"
			if g[4] == "convolution" {
				kind = "conv"
			}
			return strings.Join([]string{"layer" + next(g[1]), g[2], kind + next(g[3]), g[5]}, ".")
		}},
	{regexp.MustCompile(`^(?:resnet\.)?encoder\.stages\.(\d+)\.layers\.(\d+)\.shortcut\.(convolution|normalization)\.(\w+)$`),
		func(g []string) string {
			index := "1"
			if g[3] == "convolution" {
				index = "0"
			}
			return strings.Join([]string{"layer" + next(g[1]), g[2], "downsample", index, g[4]}, ".")
		}},
	{regexp.MustCompile(`^classifier\.1\.(\w+)$`), func(g []string) string { return "fc." + g[1] }},
}

// torchvisionName translates the name of a ResNet's parameter in Hugging Face's
// transformers. For any other name, ok is false and the name is returned unchanged.
func torchvisionName(name string) (translated string, ok bool) {
	for _, h := range huggingFace {
		if groups := h.pattern.FindStringSubmatch(name); groups != nil {
			return h.name(groups), true
		}
	}
	return name, false
}

// next adds one to a number, as torchvision counts stages and layers from one.
func next(digits string) string {
	n, err := strconv.Atoi(digits)
	if err != nil { // more digits than any count has
		return digits
	}
	return strconv.Itoa(n + 1)
}
