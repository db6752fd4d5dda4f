//go:build cuda && !windows

package loop_test

import (
	"os"
	"testing"

	"github.com/residual-ml/residual/engine/cuda/emulate"
	"github.com/residual-ml/residual/models/modelstest"
)

// TestTrainsOnCUDA compares both models with ten steps of PyTorch, on the CUDA device with
// emulated kernels. ResNet-18 in BF16 takes minutes longer and is left to the long tests.
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
