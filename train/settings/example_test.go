package settings_test

import (
	"fmt"

	"github.com/residual-ml/residual/train/settings"
)

// Check a struct that has some fields of the table.
func ExampleCheck() {
	fmt.Println(settings.Check(struct{ LabelSmoothing float64 }{0.1}))
	fmt.Println(settings.Check(struct{ LabelSmoothing float64 }{2}))
	// Output:
	// <nil>
	// LabelSmoothing 2: must be a share from 0 to below 1, such as 0.1
}
