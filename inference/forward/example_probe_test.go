package forward_test

import (
	"fmt"
	"image/png"
	"os"
	"path/filepath"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/inference/forward"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// Look into a network: what its layers make of an image, and which pixels matter to a class.
func ExampleRunner_Activations() {
	dev, err := cpu.New(cpu.Options{})
	must(err)
	defer dev.Close()
	net, err := models.New("resnet18", models.Config{Classes: 10})
	must(err)
	images := tensor.New(1, 3, 64, 64) // or what Classifier.Prepare makes of an image
	nn.NewSource(1, "images").Normal(images, 1)

	r := forward.NewRunner(net, engine.NewStore(dev), engine.FP32)
	seen, err := r.Activations(images, "layer1.0.relu_1", "layer4", "flatten", "")
	must(err)
	gradient, err := r.InputGradient(images, []int{3}) // of the logit of class 3
	must(err)
	maps, err := r.Saliency(images, []int{3})
	must(err)

	file, err := os.Create(filepath.Join(os.TempDir(), "saliency.png"))
	must(err)
	defer os.Remove(file.Name())
	must(png.Encode(file, maps[0].Image()))
	must(file.Close())
	fmt.Println(seen["layer1.0.relu_1"].Shape(), seen["layer4"].Shape(), seen["flatten"].Shape())
	fmt.Println(gradient.Shape(), float64(seen[""].At(0, 3)) == maps[0].Logit)
	// Output:
	// [1, 64, 16, 16] [1, 512, 2, 2] [1, 512]
	// [1, 3, 64, 64] true
}
