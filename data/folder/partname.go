package folder

import (
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/residual-ml/residual/data/lines"
)

// partKind is the part of a data set that a name stands for.
type partKind int

const (
	noPart partKind = iota
	trainPart
	valPart  // what a training is compared by
	testPart // what it is measured on at the end
)

// partWords are the words for each part. The first of a kind comes first where several
// folders could be tested on.
var partWords = map[partKind][]string{
	trainPart: {"train", "training", "trainval", "训练", "训练集", "训练数据"},
	valPart:   {"val", "valid", "validation", "validate", "dev", "devel", "development", "eval", "evaluation", "验证", "验证集", "验证数据"},
	testPart:  {"test", "testing", "tests", "holdout", "heldout", "测试", "测试集", "测试数据"},
}

// partFillers are words beside those that say nothing of which part it is.
var partFillers = []string{
	"set", "sets", "subset", "split", "part", "data", "dataset", "datasets", "image", "images", "img", "imgs", "picture", "pictures",
	"pic", "pics", "photo", "photos", "sample", "samples", "file", "files", "folder", "dir", "seg", "x", "the", "my",
}

var (
	camelCase   = regexp.MustCompile(`(\p{Ll})(\p{Lu})`)
	holdOut     = regexp.MustCompile(`\b(hold|held) out\b`)
	joinedWords = regexp.MustCompile(`^(x)?(train|training|val|valid|validation|dev|eval|test|testing|holdout|heldout)(set|data|dataset|images|imgs|img|photos|pictures|split|dir)?$`)
)

// partName reads the name of a folder, or of a value in a list's column for parts: the part
// that it stands for, and what else it says, such as the name of the data set. Case,
// digits and what separates words do not matter.
func partName(name string) (kind partKind, stem string) {
	words := strings.FieldsFunc(camelCase.ReplaceAllString(lines.Name(name), "$1 $2"), func(c rune) bool { return !unicode.IsLetter(c) })
	words = strings.Fields(holdOut.ReplaceAllString(strings.ToLower(strings.Join(words, " ")), "${1}out"))
	var rest []string
	for _, w := range words {
		if m := joinedWords.FindStringSubmatch(w); m != nil {
			w = m[2]
		}
		is := noPart
		for k, known := range partWords {
			if slices.Contains(known, w) {
				is = k
			}
		}
		switch {
		case is+kind == trainPart+valPart && is != noPart && kind != noPart:
			kind = trainPart // train and val together, which goes with a test
		case is != noPart && kind != noPart && kind != is:
			return noPart, "" // such as train-test: it is of both
		case is != noPart:
			kind = is
		case !slices.Contains(partFillers, w):
			rest = append(rest, w)
		}
	}
	return kind, strings.Join(rest, " ")
}

// filler says that a name has no words but those that say nothing, such as images.
func filler(name string) bool {
	kind, stem := partName(name)
	return kind == noPart && stem == ""
}

// partRank orders folders that could be tested on: those to validate on first.
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
