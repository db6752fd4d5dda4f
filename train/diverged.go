package train

import (
	"fmt"

	"github.com/residual-ml/residual/data"
)

// diverged says where a loss or a gradient was no number. It is ErrNotFinite.
type diverged struct {
	epoch, batch int
	loss         float64
	lr           float32
}

func (f *fit) diverged(epoch, batch int, loss float64, b *data.Batch, cause error) error {
	return diverged{epoch, batch, loss, f.rate()}
}

func (d diverged) Error() string {
	return fmt.Sprintf("epoch %d, batch %d: the loss is %v: the training diverged at the learning rate %v; use a smaller one (--lr)", d.epoch, d.batch, d.loss, d.lr)
}

func (d diverged) Is(target error) bool { return target == ErrNotFinite }
