package data

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/tensor"
)

// A tensor.Misuse of a transform becomes an error with the name of the image, and any other panic
// passes.
func TestTransformPanics(t *testing.T) {
	small := transforms.NewImage(1, 2, 2)
	_, err := apply(transforms.RandomCrop{Size: 5}, small, new(transforms.Rand))
	if m := (*tensor.Misuse)(nil); !errors.As(err, &m) || !strings.HasPrefix(err.Error(), "its transform failed: transforms.RandomCrop: ") {
		t.Errorf("a misuse became %v", err)
	}
	var none []int
	for want, f := range map[string]func(){
		"lost count":         func() { panic("lost count") },
		"index out of range": func() { _ = none[0] },
	} {
		func() {
			defer func() {
				r := recover()
				if _, is := r.(runtime.Error); !strings.Contains(fmt.Sprint(r), want) || is != (want != "lost count") {
					t.Errorf("%s passed as %v", want, r)
				}
			}()
			_, err := apply(faulty{f}, small, new(transforms.Rand))
			t.Errorf("%s became %v", want, err)
		}()
	}
}

// faulty is a transform with a mistake in it.
type faulty struct{ f func() }

func (t faulty) Apply(m transforms.Image, _ rand.Source) transforms.Image {
	t.f()
	return m
}
