package photo

import (
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/residual-ml/residual/data/jpeg"
)

// DefaultBudget is how many bytes a Budget has unless it is told otherwise: enough for 17
// photos of 12 megapixels at once.
const DefaultBudget = 1 << 30

// Budget bounds the memory of the images that are decoded at the same time by all that
// share it, however many goroutines they are: each holds what its image takes for as long
// as it uses the image in its full size. It is safe for concurrent use. A nil Budget bounds
// nothing.
type Budget struct {
	bytes int64
	free  *semaphore.Weighted

	mu          sync.Mutex
	inUse, peak int64
}

// NewBudget returns a budget of so many bytes; 0 means DefaultBudget.
func NewBudget(bytes int64) *Budget {
	if bytes <= 0 {
		bytes = DefaultBudget
	}
	return &Budget{bytes: bytes, free: semaphore.NewWeighted(bytes)}
}

// Hold waits until there is room to decode the image in a file, and keeps it until release
// is called. An image that takes more than the whole budget waits until nothing else is
// held, and has it alone. The error is that of o.Context. What Inspect refuses takes nothing.
func (b *Budget) Hold(content []byte, o Options) (release func(), err error) {
	if b == nil {
		return func() {}, nil
	}
	bytes := DecodingBytes(content, o)
	share := min(bytes, b.bytes)
	if err := b.free.Acquire(o.context(), share); err != nil {
		return nil, err
	}
	b.add(bytes)
	return sync.OnceFunc(func() {
		b.add(-bytes)
		b.free.Release(share)
	}), nil
}

func (b *Budget) add(bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.inUse += bytes
	b.peak = max(b.peak, b.inUse)
}

// Peak is the most memory that was in use at once, in bytes.
func (b *Budget) Peak() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.peak
}

// DecodingBytes is about the memory that decoding the image in a file takes, as its headers
// tell: its pixels, what the decoder has beside them, and another time its pixels where it
// is turned. It is 0 for what Inspect refuses.
func DecodingBytes(content []byte, o Options) int64 {
	info, err := Inspect(content, o)
	if err != nil {
		return 0
	}
	pixels := int64(info.Width) * int64(info.Height)
	bytes := int64(len(content)) + (8+3)*pixels // image.NRGBA64 and planes
	if info.Format == "jpeg" {
		if j, err := jpeg.Inspect(content); err == nil {
			bytes = j.Bytes
		}
	}
	if info.Orientation > 1 && !o.AsStored {
		bytes += 3 * pixels
	}
	return bytes
}
