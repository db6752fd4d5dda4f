package folder

import (
	"context"
	"fmt"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/photo"
)

// Relocate finds the images of a record in a folder or list by their content, wherever they
// are now, and sets the paths of the items. An image must have the same class as before, and
// the same split if the user chose the splits. missing describes, in one line each, the images
// that were not found.
func (x *Index) Relocate(ctx context.Context, path string) (missing []string, err error) {
	var now *Index
	if x.targeted() {
		now, err = ScanTargets(ctx, path, *x.columns)
	} else {
		now, err = ScanAsContext(ctx, path, x.Classes)
	}
	if err != nil {
		return nil, err
	}
	err = each(ctx, len(now.Items), func(i int) {
		_, _ = now.Items[i].load(photo.Options{}) // a file that cannot be read has no digest
	})
	if err != nil {
		return nil, err
	}
	places := map[string][]*Item{} // by digest
	for i := range now.Items {
		it := &now.Items[i]
		places[it.Mark.SHA256] = append(places[it.Mark.SHA256], it)
	}
	delete(places, "")
	list := now.list
	for i := range x.Items {
		it := &x.Items[i]
		found, why := it.among(places[it.Mark.SHA256], x, now)
		if why != "" {
			missing = append(missing, why)
			continue
		}
		if found.Name != it.Name {
			list = "" // the list gives the name to another image
		}
		it.Path, it.Mark = found.Path, found.Mark
	}
	x.list = list
	return missing, nil
}

// among chooses one of the files with the content of an image, preferably the one with its
// name. If none has the right class and split, why says so.
func (it *Item) among(files []*Item, x, now *Index) (found *Item, why string) {
	if len(files) == 0 {
		return nil, fmt.Sprintf("image %s: no file in %s has its content", it.Name, now.Path())
	}
	for _, f := range files {
		switch {
		case now.Classes[f.Label] != x.Classes[it.Label]:
			why = fmt.Sprintf("image %s: is %s now, with the label %q, and had %q", it.Name, f.Path, now.Classes[f.Label], x.Classes[it.Label])
		case now.Tested && f.Split != it.Split:
			why = fmt.Sprintf("image %s: is %s now, in the part %s, and was in %s", it.Name, f.Path, f.Split, it.Split)
		case found == nil || f.Name == it.Name:
			found = f
		}
	}
	if found != nil {
		return found, ""
	}
	return nil, why
}

// Parts returns the split of each image by the SHA-256 of its file. For a file with copies in
// both splits it is data.Train.
func (x *Index) Parts() map[string]data.Split {
	parts := make(map[string]data.Split, len(x.Items))
	for _, it := range x.Items {
		if it.Mark.SHA256 != "" && parts[it.Mark.SHA256] != data.Train {
			parts[it.Mark.SHA256] = it.Split
		}
	}
	return parts
}
