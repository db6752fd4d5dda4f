package elements

import (
	"fmt"
	"strings"
	"testing"

	"github.com/residual-ml/residual/tensor"
)

func TestAll(t *testing.T) {
	var names []string
	for i := range 300 {
		names = append(names, fmt.Sprint("t", i))
	}
	read := func(name string) (*tensor.Tensor, error) {
		return tensor.FromInts([]int64{int64(len(name))}, 1), nil
	}
	all, err := All(names, read)
	if err != nil || len(all) != len(names) {
		t.Fatalf("%d tensors, %v", len(all), err)
	}
	for _, name := range names {
		if all[name].Ints()[0] != int64(len(name)) {
			t.Errorf("%s is %v", name, all[name])
		}
	}
	if _, err = All(names, func(name string) (*tensor.Tensor, error) {
		if name == "t7" || strings.HasSuffix(name, "99") {
			return nil, fmt.Errorf("%s is damaged", name)
		}
		return read(name)
	}); err == nil || err.Error() != "t7 is damaged" {
		t.Errorf("a tensor that cannot be read: %v", err)
	}
	if all, err := All(nil, read); err != nil || len(all) != 0 {
		t.Errorf("no tensors: %v, %v", all, err)
	}
}
