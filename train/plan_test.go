package train

import (
	"reflect"
	"testing"

	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
)

// A training on CIFAR gets the transform of its recipe, and none if Augment is none.
func TestPlanTransform(t *testing.T) {
	p, err := Config{Data: "cifar10"}.plan()
	if err != nil {
		t.Fatal(err)
	}
	want := transforms.Compose{transforms.Resize{Height: 32, Width: 32}, transforms.RandomCrop{Size: 32, Padding: 4}, transforms.RandomHorizontalFlip{}}
	if got := p.options().Transform; !reflect.DeepEqual(got, want) {
		t.Errorf("%#v", got)
	}
	p.Augment = "none"
	if got := p.options().Transform; got != nil {
		t.Errorf("without: %#v", got)
	}
}

// tiny is a network of a program's own.
type tiny struct{ Conv *nn.Conv2d }

func (m *tiny) Forward(x *graph.Node) *graph.Node { return m.Conv.Forward(x) }

// A Module of the program's own keeps its values on a user's own images, and the time of its
// steps is known.
func TestPlanOfOwnModuleOnPhotos(t *testing.T) {
	c := Config{Data: t.TempDir(), Own: Own{Module: &tiny{nn.NewConv2d(3, 4, 3, nn.Conv{})}}, Resize: 10}
	p, err := c.plan()
	if err != nil {
		t.Fatal(err)
	}
	if p.Init != "" {
		t.Errorf("the module would start with %s", p.Init)
	}
	if got, want := p.stepSeconds(), 3*8*8*4*3*9/coreRate; got != want {
		t.Errorf("an image takes %v s, want %v", got, want)
	}
}
