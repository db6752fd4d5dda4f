package folder

import (
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/residual-ml/residual/data/lines"
)

// partKind is the split that a name stands for.
type partKind int

const (
	noPart partKind = iota
	trainPart
	valPart
	testPart
)

// partWords lists the words for each split. When there are several test folders, the one with
// the first of these words is used.
var partWords = map[partKind][]string{
	trainPart: {"train", "training", "trainval", "训练", "训练集", "训练数据"},
	valPart:   {"val", "valid", "validation", "validate", "dev", "devel", "development", "eval", "evaluation", "验证", "验证集", "验证数据"},
	testPart:  {"test", "testing", "tests", "holdout", "heldout", "测试", "测试集", "测试数据"},
}

// partFillers lists words that do not say which split a folder is.
var partFillers = []string{
	"set", "sets", "subset", "split", "part", "data", "dataset", "datasets", "image", "images", "img", "imgs", "picture", "pictures",
	"pic", "pics", "photo", "photos", "sample", "samples", "file", "files", "folder", "dir", "seg", "x", "the", "my",
}

var (
	camelCase   = regexp.MustCompile(`(\p{Ll})(\p{Lu})`)
	holdOut     = regexp.MustCompile(`\b(hold|held) out\b`)
	joinedWords = regexp.MustCompile(`^(x)?(train|training|val|valid|validation|dev|eval|test|testing|holdout|heldout)(set|data|dataset|images|imgs|img|photos|pictures|split|dir)?$`)
)

// partName returns the split that the name of a folder, or a value in the split column of a
// list, stands for. stem holds the other words of the name, such as the name of the data set.
// Case, digits and the separators of words do not matter.
func partName(name string) (kind partKind, stem string) {
	words := strings.FieldsFunc(camelCase.ReplaceAllString(lines.Name(name), "$1 $2"), func(c rune) bool { return !unicode.IsLetter(c) })
	words = strings.Fields(holdOut.ReplaceAllString(strings.ToLower(strings.Join(words, " ")), "${1}out"))
	var other []string
	for _, w := range words {
		if m := joinedWords.FindStringSubmatch(w); m != nil {
			w = m[2]
		}
		wordKind := noPart
		for k, known := range partWords {
			if slices.Contains(known, w) {
				wordKind = k
			}
		}
		switch {
		case wordKind+kind == trainPart+valPart && wordKind != noPart && kind != noPart:
			kind = trainPart // train and val in one folder, beside a test folder
		case wordKind != noPart && kind != noPart && kind != wordKind:
			return noPart, "" // such as train-test, which is neither
		case wordKind != noPart:
			kind = wordKind
		case !slices.Contains(partFillers, w):
			other = append(other, w)
		}
	}
	return kind, strings.Join(other, " ")
}

// filler reports whether a name has only words without meaning, such as images.
func filler(name string) bool {
	kind, stem := partName(name)
	return kind == noPart && stem == ""
}

// partRank returns a sort key for folders of test images: validation folders come first.
func partRank(name string) int {
	kind, _ := partName(name)
	rank := int(kind) * 100
	for i, w := range partWords[kind] {
		if strings.EqualFold(name, w) {
			return rank + i
		}
	}
	return rank + len(partWords[kind])
}
