package train

import "github.com/residual-ml/residual/internal/field"

// epochsIn returns the epochs of a length, the last of which may be shorter.
func epochsIn(length []int, batches int) int { return (length[len(length)-1] + batches - 1) / batches }

// lengthAfter returns the batches of the whole training that a length decides after so many.
func lengthAfter(length []int, batches int) (n int) {
	for i := 0; i+1 < len(length) && length[i] <= batches; i += 2 {
		n = length[i+1]
	}
	return n
}

// checkLength returns an error unless Length has pairs that a budget can have decided.
func checkLength(l []int) error {
	for i := range l {
		if len(l)%2 != 0 || l[0] != 0 || i%2 == 1 && l[i] <= l[i-1] || i > 1 && i%2 == 0 && l[i] <= l[i-2] {
			return field.Errorf("{Length} %v: give pairs of batches made and batches in all, the first of them 0 and a number, as a budget recorded them", l)
		}
	}
	return nil
}
