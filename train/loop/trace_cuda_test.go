//go:build cuda && !windows

package loop_test

import (
	"os"
	"testing"

	"github.com/residual-ml/residual/engine/cuda/emulate"
	"github.com/residual-ml/residual/models/modelstest"
)

// Both models against ten steps of PyTorch, through the whole CUDA device on emulated
// kernels; ResNet-18 in fp32, for bf16's takes minutes longer and is for the long tests.
func TestTrainsOnCUDA(t *testing.T) {
	d, _ := emulated(t)
	for _, model := range traced {
		tr, err := modelstest.Read("../../models/testdata/" + model + ".json")
		if err != nil {
			t.Fatal(err)
		}
		t.Run(model+"/fp32", func(t *testing.T) { replay(t, d, tr) })
		t.Run(model+"/bf16", func(t *testing.T) {
			if model == "d2l-resnet18" && os.Getenv("RESIDUAL_LONG") == "" && !emulate.IsReal() {
				t.Skip("takes minutes on emulated kernels: set RESIDUAL_LONG=1 to run it")
			}
			replayBF16(t, d, tr)
		})
	}
}
