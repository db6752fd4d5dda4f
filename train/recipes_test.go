package train

import (
	"reflect"
	"testing"

	"github.com/residual-ml/residual/data/transforms"
)

// TestCifarIsAugmentedAsInItsPaper: 4 black pixels all round, a part of the old size, and
// flips; what is tested on is left alone (a Trainer transforms no test).
func TestCifarIsAugmentedAsInItsPaper(t *testing.T) {
	p, err := Config{Data: "cifar10"}.plan()
	if err != nil {
		t.Fatal(err)
	}
	want := transforms.Compose{transforms.Resize{Height: 32, Width: 32}, transforms.RandomCrop{Size: 32, Padding: 4}, transforms.RandomHorizontalFlip{}}
	if got := p.settings().Transform; !reflect.DeepEqual(got, want) {
		t.Errorf("%#v", got)
	}
	p.Augment = "none"
	if got := p.settings().Transform; got != nil {
		t.Errorf("without: %#v", got)
	}
}
