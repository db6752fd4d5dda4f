package photo

import (
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/residual-ml/residual/data/jpeg"
)

// DefaultBudget is the default number of bytes of a Budget: enough for 17 photos of 12
// megapixels at once.
const DefaultBudget = 1 << 30

// Budget bounds the memory of images that are decoded at the same time by all goroutines that
// share it. Each reserves the memory of its image for as long as it uses the image in full size.
// A Budget is safe for concurrent use. A nil Budget sets no limit.
type Budget struct {
	bytes int64
	free  *semaphore.Weighted

	mu          sync.Mutex
	inUse, peak int64
}

// NewBudget returns a budget with the given number of bytes; 0 means DefaultBudget.
func NewBudget(bytes int64) *Budget {
	if bytes <= 0 {
		bytes = DefaultBudget
	}
	return &Budget{bytes: bytes, free: semaphore.NewWeighted(bytes)}
}

// Hold waits until there is memory to decode the image in a file, and reserves it until release
// is called. An image that needs more than the budget waits until nothing else is reserved and
// is then decoded alone. The error is that of o.Context. A file that Inspect refuses needs no
// memory.
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

// Peak returns the largest number of bytes that were in use at once.
func (b *Budget) Peak() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.peak
}

// DecodingBytes estimates, from the headers, the memory in bytes that decoding the image in a
// file needs: the pixels, the buffers of the decoder, and a second copy of the pixels if the
// orientation is applied. It is 0 for a file that Inspect refuses.
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
