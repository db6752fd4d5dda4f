package folder

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/residual-ml/residual/data/photo"
)

// Kinds counts files by the extensions of their names, the most frequent first, and says which
// of them are images that must be converted, such as "12 .heic, 1 .txt; convert .heic to JPEG
// or PNG".
func Kinds(names []string) string {
	counts := map[string]int{}
	for _, name := range names {
		counts[cmp.Or(strings.ToLower(filepath.Ext(name)), "without an ending")]++
	}
	kinds := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	var convert []string
	for i, kind := range kinds {
		if photo.NamedOther(kind) != "" {
			convert = append(convert, kind)
		}
		kinds[i] = fmt.Sprintf("%d %s", counts[kind], kind)
	}
	text := strings.Join(kinds, ", ")
	if len(convert) > 0 {
		text += "; convert " + strings.Join(convert, ", ") + " to JPEG or PNG"
	}
	return text
}

// tooFew returns the error for an index with fewer than two classes. It says what the user may
// have meant.
func (x *Index) tooFew() error {
	if x.list != "" {
		return fmt.Errorf("list %s: gives all images the label %q; at least two labels are needed", x.list, strings.Join(x.Classes, ", "))
	}
	if len(x.Classes) == 0 {
		loose := 0
		entries, _ := os.ReadDir(x.Root)
		for _, e := range entries {
			if !e.IsDir() && photo.Named(e.Name()) {
				loose++
			}
		}
		if loose > 0 {
			return fmt.Errorf("images: %s holds images (%d) and no folders; make one folder per class, at least two, and put the images into them, or name the parent folder if this is one of the classes", x.Root, loose)
		}
		return fmt.Errorf("images: %s holds no folders; make one folder per class, at least two, and put the images into them", x.Root)
	}
	only := filepath.Join(x.Root, x.Classes[0])
	if inner, err := foldersOf(only); err == nil && len(inner) > 1 {
		return fmt.Errorf("images: %s has one class, %q; if the classes are the folders in that, name it: %s", x.Root, x.Classes[0], only)
	}
	return fmt.Errorf("images: %s has one class, %q; make one folder per class, at least two, and put the images into them", x.Root, x.Classes[0])
}
