package models

import (
	_ "embed" // the names
	"strings"
)

// imageNet has one name per line: see testdata/imagenet.py.
//
//go:embed imagenet.txt
var imageNet string

// ImageNetClasses returns the names of the 1,000 classes of ImageNet (ILSVRC 2012), beginning
// with "tench". They are in the order of the logits of networks trained on ImageNet, which is
// the order of their WordNet numbers. The names are torchvision's
// (torchvision.models._meta); timm and transformers use the same order.
func ImageNetClasses() []string { return strings.Split(strings.TrimSuffix(imageNet, "\n"), "\n") }
