package models

import (
	_ "embed" // the names
	"strings"
)

// imageNet has a name a line: see testdata/imagenet.py.
//
//go:embed imagenet.txt
var imageNet string

// ImageNetClasses returns the names of ImageNet's 1,000 classes (ILSVRC 2012) in the order
// of the logits of networks trained on it, that of their WordNet numbers: "tench" is the
// first. They are torchvision's (torchvision.models._meta); timm and transformers have the
// same order.
func ImageNetClasses() []string { return strings.Split(strings.TrimSuffix(imageNet, "\n"), "\n") }
