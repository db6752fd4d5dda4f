package models_test

import (
	"fmt"

	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
)

// Make a model by its name, for the number of classes of the data. Its parameters have
// torchvision's names.
func Example() {
	net, err := models.New("resnet18", models.Config{Classes: 5})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(nn.Count(net), "parameters")
	for _, p := range nn.Parameters(net)[:2] {
		fmt.Println(p.Name, p.Value.Shape())
	}
	_, err = models.New("resnet19", models.Config{})
	fmt.Println(err != nil)
	// Output:
	// 11179077 parameters
	// conv1.weight [64, 3, 7, 7]
	// bn1.weight [64]
	// true
}
