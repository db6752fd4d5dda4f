package exchange

import (
	"fmt"
	"slices"

	"github.com/residual-ml/residual/models"
)

// familyKey returns a key that is equal for models that differ only in the numbers of their blocks.
func familyKey(e models.Entry) string {
	return fmt.Sprint(e.Family, e.Count(models.Config{Blocks: oneBlockEach(e)}), " ", e.Divides())
}

// oneBlockEach returns the block counts with one block in each stage.
func oneBlockEach(e models.Entry) []int {
	if len(e.Blocks) == 0 {
		return nil
	}
	return slices.Repeat([]int{1}, len(e.Blocks))
}
