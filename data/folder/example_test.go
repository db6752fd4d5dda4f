package folder_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/data/transforms"
)

// Open opens a folder of images, and the loader augments its training set.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "photos")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	dir = filepath.Join(dir, "garments")
	if err := folder.Make(ctx, dir, folder.MakeConfig{PerClass: 5, Turned: 0.3}); err != nil {
		fmt.Println(err)
		return
	}
	train, test, err := folder.Open(ctx, dir, folder.Options{Size: 64, Together: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	loader, err := data.NewLoader(train, data.LoaderConfig{
		Batch: 8, Shuffle: true, DropLast: true,
		Transform: transforms.Compose{
			transforms.RandomResizedCrop{Size: 64}, transforms.RandomHorizontalFlip{}, transforms.RandAugment{},
		},
		Mix: transforms.RandomChoice{Of: []transforms.BatchTransform{transforms.Mixup{Alpha: 0.2}, transforms.CutMix{}}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	epoch := loader.Epoch(ctx, 0)
	defer epoch.Close()
	batch, err := epoch.Next()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(train.Len(), "to train on,", test.Len(), "to test on")
	fmt.Println(batch.Images.Shape(), batch.Targets.Shape())
	// Output:
	// 40 to train on, 10 to test on
	// [8, 3, 64, 64] [8, 10]
}
