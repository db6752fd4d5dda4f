package data

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/tensor"
)

// LoaderConfig says how a Loader cuts a data set into batches.
type LoaderConfig struct {
	Batch    int    // images in a batch, at least 1
	Shuffle  bool   // a new order in every epoch, which depends only on Seed and the epoch
	Seed     uint64 // of the order, Transform and Mix
	Workers  int    // goroutines that prepare batches; 0 chooses. Batches do not depend on it
	DropLast bool   // leave out the last batch when it is not full
	// Even lets the last two batches share their images evenly when the last one would have
	// fewer than 8 images or fewer than half a batch, whichever is less. In a training, batch
	// norm computes its statistics from each batch, and those of very few images are poor.
	Even bool

	// Sampler, when set, chooses the images of every epoch in place of Shuffle. An epoch then has
	// as many images as the sampler gives.
	Sampler Sampler

	// Transform, when set, is applied to every image in every epoch. Its input is the image
	// in its own size if the data set implements Images, else the pixels that Get returns; its
	// output must have the size of Info. Its random generator depends only on Seed, the
	// epoch and the index of the image; where a Sampler repeats an image in an epoch, each copy
	// has random numbers of its own. Workers call it concurrently.
	Transform transforms.Transform
	// Mix, when set, is applied to every batch. Its random generator depends only on Seed, the
	// epoch and the number of the batch. Batch.Targets then holds the soft labels.
	Mix transforms.BatchTransform
	// Normalize turns pixels into the values of a batch; the zero value scales them to [0, 1].
	Normalize transforms.Normalize
	// Uint8 asks for uint8 batches, for a device that resizes and normalises images itself;
	// see Loader.Stored. It has no effect with Mix, which needs float32 images.
	Uint8 bool
}

// Loader prepares batches in the background, while the training computes.
type Loader struct {
	info     Info
	c        LoaderConfig
	length   int // of the data set
	total    int // images in an epoch
	division division
	maxAhead int             // the most batches that are prepared before Next asks for them
	table    []*[256]float32 // for each channel, the value of each byte
	free     chan *Batch

	leadingCrop *leadingCrop // Transform, when it begins with a crop; else nil
	stored      *Stored      // the layout of uint8 batches; nil when batches are float32
	source      Dataset      // what batches are read from when there is no Transform
	originals   originals    // the images that Transform is applied to
	targets     *targets     // nil for classes
	floats      Floats       // the data set if it has numbers in place of pixels; else nil
}

// NewLoader returns a loader of the images of ds, or an error when c does not fit ds. It
// starts no goroutine; Epoch does.
func NewLoader(ds Dataset, c LoaderConfig) (*Loader, error) {
	info := ds.Info()
	if c.Batch < 1 {
		return nil, field.Errorf("{Batch} %d: must be at least 1", c.Batch)
	}
	if c.Workers < 0 {
		return nil, fmt.Errorf("%d loader workers; use 1 or more, or 0 to choose", c.Workers)
	}
	if ds.Len() == 0 {
		return nil, fmt.Errorf("data set %s holds no images", info.Name)
	}
	if c.Workers == 0 {
		c.Workers = min(max(runtime.GOMAXPROCS(0)/2, 1), 4)
	}
	if c.Mix != nil && info.hasTargets() {
		return nil, fmt.Errorf("the targets of data set %s are %s, which cannot be mixed as classes are; leave out Mixup and CutMix", info.Name, info.Targets.Task)
	}
	if c.Mix != nil && len(info.Classes) == 0 {
		return nil, fmt.Errorf("data set %s does not name its classes, so its labels cannot be mixed; leave out Mixup and CutMix", info.Name)
	}
	l := &Loader{info: info, c: c, length: ds.Len(), total: ds.Len(), maxAhead: c.Workers + 2}
	if err := l.count(); err != nil {
		return nil, err
	}
	var err error
	if l.targets, err = targetsOf(ds); err != nil {
		return nil, err
	}
	for _, values := range [][]float64{c.Normalize.Mean, c.Normalize.Std} {
		if n := len(values); n != 0 && n != info.Channels {
			return nil, field.Errorf("the images of %s have %d channels, but the mean and std have %d ({Mean}, {Std})", info.Name, info.Channels, n)
		}
	}
	for channel := range info.Channels {
		table := c.Normalize.Table(channel)
		l.table = append(l.table, &table)
	}
	if c.Transform != nil {
		l.leadingCrop, l.originals = leadingCropOf(c.Transform), originalsOf(ds)
	}
	if l.floats, _ = ds.(Floats); l.floats != nil {
		if err := c.checkFloats(); err != nil {
			return nil, err
		}
		c.Uint8 = false
	}
	l.c.Batch = min(c.Batch, l.total)
	l.division = divide(l.total, l.c.Batch, c.Even, c.DropLast)
	l.source = ds
	if c.Uint8 && c.Mix == nil {
		l.stored, l.source = l.store(ds)
	}
	l.free = make(chan *Batch, l.maxAhead+2)
	return l, nil
}

// count sets the number of images in an epoch, which must fill a batch with DropLast.
func (l *Loader) count() error {
	where := "holds"
	if l.c.Sampler != nil {
		order, err := l.sample(1)
		if err != nil {
			return err
		}
		if l.total, where = len(order), "gives by its sampler"; l.total == 0 {
			return fmt.Errorf("the sampler of data set %s gave no images; an epoch needs one at least", l.info.Name)
		}
	}
	if l.c.DropLast && l.total < l.c.Batch {
		return field.Errorf("data set %s %s %d images, fewer than one batch of %d; use a smaller {Batch} or keep the last partial batch",
			l.info.Name, where, l.total, l.c.Batch)
	}
	return nil
}

// Info describes the images in batches.
func (l *Loader) Info() Info { return l.info }

// Bytes returns the memory in bytes that all batches which exist at once need.
func (l *Loader) Bytes() int64 {
	imageBytes := 4 * l.info.Numel()
	if l.stored != nil {
		imageBytes = l.stored.Numel()
	}
	return int64(l.maxAhead+1) * int64(l.division.maxSize()) * int64(imageBytes+16)
}

// Batch is one batch of an epoch. Its tensors belong to the loader and are valid until
// Release.
type Batch struct {
	Images  *tensor.Tensor // [n, C, H, W] Float32 in [0, 1], or normalised; nil in a uint8 batch
	Pixels  []uint8        // in a uint8 batch the images, laid out as Loader.Stored says; else nil
	Labels  *tensor.Tensor // [n] Int64
	Indices []int          // the index of each image in the data set
	Targets *tensor.Tensor // [n, classes] Float32 soft labels, with LoaderConfig.Mix, or the targets of a Targeted data set; else nil

	loader      *Loader
	pix         []uint8 // one image
	rand        transforms.Rand
	keys        []int // see Epoch.keys
	key         int   // of the image that is read
	images      []float32
	targets     []float32
	mask        transforms.Image // of the image that was transformed last
	pixels      []uint8
	labels      []int64
	indices     []int
	views       map[int]tensors // tensors over images and labels, by the number of images
	outstanding atomic.Bool
	err         error
}

type tensors struct{ images, labels, targets *tensor.Tensor }

// Release returns the buffers of the batch to the loader. The batch must not be used
// afterwards. A second call does nothing.
func (b *Batch) Release() {
	if !b.outstanding.CompareAndSwap(true, false) {
		return
	}
	select {
	case b.loader.free <- b:
	default: // the loader has enough free batches
	}
}

// batch returns a free batch for n images.
func (l *Loader) batch(n int) *Batch {
	var b *Batch
	select {
	case b = <-l.free:
	default:
		b = &Batch{
			loader: l, pix: make([]uint8, l.source.Info().Numel()), views: map[int]tensors{},
			labels: make([]int64, l.division.maxSize()), indices: make([]int, l.division.maxSize()),
		}
		if l.targets != nil {
			b.targets = make([]float32, l.division.maxSize()*l.targets.size)
		}
		if l.stored != nil {
			b.pixels = make([]uint8, l.division.maxSize()*l.stored.Numel())
		} else {
			b.images = make([]float32, l.division.maxSize()*l.info.Numel())
		}
	}
	b.outstanding.Store(true)
	b.err = nil
	view, ok := b.views[n]
	if !ok {
		view.labels = tensor.FromInts(b.labels[:n], n)
		if t := l.targets; t != nil {
			view.targets = tensor.FromSlice(b.targets[:n*t.size], append([]int{n}, t.info.Targets.Sized(t.info.Height, t.info.Width)...)...)
		}
		if l.stored == nil {
			view.images = tensor.FromSlice(b.images[:n*l.info.Numel()], n, l.info.Channels, l.info.Height, l.info.Width)
		}
		b.views[n] = view
	}
	if l.stored != nil {
		b.Pixels = b.pixels[:n*l.stored.Numel()]
	}
	b.Images, b.Labels, b.Targets, b.Indices = view.images, view.labels, view.targets, b.indices[:n]
	return b
}

// fill reads the images at Indices, those of the given batch of an epoch.
func (b *Batch) fill(ctx context.Context, epoch, batch int) error {
	size, classes := len(b.pix), len(b.loader.info.Classes)
	for k, i := range b.Indices {
		if err := ctx.Err(); err != nil {
			return err
		}
		if b.key = i; b.keys != nil {
			b.key = b.keys[k]
		}
		pix, label, err := b.pix, 0, error(nil)
		if f := b.loader.floats; f != nil {
			label, err = f.Floats(i, b.images[k*size:(k+1)*size])
		} else {
			pix, label, err = b.image(epoch, i)
		}
		switch {
		case err != nil:
		case b.loader.targets != nil:
			label, err = 0, b.target(k, i)
		case label < 0 || classes > 0 && label >= classes:
			err = fmt.Errorf("label %d is outside 0..%d", label, classes-1)
		}
		if err != nil {
			return fmt.Errorf("data set %s, image %d: %w", b.loader.info.Name, i, err)
		}
		b.labels[k] = int64(label)
		switch {
		case b.loader.floats != nil:
		case b.Pixels != nil:
			copy(b.Pixels[k*size:(k+1)*size], pix)
		default:
			b.loader.values(b.images[k*size:(k+1)*size], pix)
		}
	}
	if mix := b.loader.c.Mix; mix != nil {
		b.rand.Batch(b.loader.c.Seed, epoch, batch)
		m := mix.Draw(b.loader.info.Height, b.loader.info.Width, &b.rand)
		m.Images(b.Images)
		b.Targets = m.Targets(b.Labels.Ints(), classes)
	}
	return nil
}

// values writes the float32 values of an image's pixels.
func (l *Loader) values(out []float32, pix []uint8) {
	area := len(pix) / len(l.table)
	for channel, table := range l.table {
		plane := out[channel*area:][:area]
		for j, v := range pix[channel*area:][:area] {
			plane[j] = table[v]
		}
	}
}

// Epoch is one pass over the data set. Only one goroutine may call Next.
type Epoch struct {
	l       *Loader
	ctx     context.Context
	cancel  context.CancelFunc
	epoch   int
	order   []int32 // the index of each image in turn; nil for the order of the data set
	keys    []int   // the number that starts the random generator of each image; nil for its index
	count   int
	next    int           // the number of the batch that Next returns
	claimed atomic.Int64  // batches that workers have begun
	tokens  chan struct{} // one for every batch that may still be prepared ahead of Next
	ready   []chan *Batch // batch k arrives in ready[k % len]; the tokens ensure that it is empty
	wg      sync.WaitGroup
	err     error // sticky
}

// Epoch starts the workers and returns the given epoch. The order of the images depends only
// on Seed and epoch, so an epoch can be repeated without those before it. The caller must
// call Close unless Next has returned an error, io.EOF included.
func (l *Loader) Epoch(ctx context.Context, epoch int) *Epoch {
	e := &Epoch{l: l, epoch: epoch, count: l.Batches(), tokens: make(chan struct{}, l.maxAhead), ready: make([]chan *Batch, l.maxAhead)}
	e.ctx, e.cancel = context.WithCancel(ctx)
	if e.err = e.begin(); e.err != nil {
		e.count = 0 // Next returns the error
	}
	for i := range e.ready {
		e.ready[i] = make(chan *Batch, 1)
		e.tokens <- struct{}{}
	}
	for range min(l.c.Workers, e.count) {
		e.wg.Go(e.work)
	}
	return e
}

// work prepares batches until none is left. A worker takes a token before it claims a batch,
// so the batch that Next waits for always has one and no deadlock is possible.
func (e *Epoch) work() {
	for {
		select {
		case <-e.ctx.Done():
			return
		case <-e.tokens:
		}
		k := int(e.claimed.Add(1)) - 1
		if k >= e.count {
			return
		}
		first, n := e.l.division.bounds(k)
		b := e.l.batch(n)
		for i := range b.Indices {
			b.Indices[i] = first + i
			if e.order != nil {
				b.Indices[i] = int(e.order[first+i])
			}
		}
		b.keys = nil
		if e.keys != nil {
			b.keys = e.keys[first : first+n]
		}
		b.err = b.fill(e.ctx, e.epoch, k)
		e.ready[k%len(e.ready)] <- b
	}
}

// Next returns the next batch and waits until it is ready. After the last one it returns
// io.EOF. An error ends the epoch, and later calls return it again.
func (e *Epoch) Next() (*Batch, error) {
	if e.err != nil {
		return nil, e.err
	}
	if e.next == e.count {
		return nil, e.stop(io.EOF)
	}
	var b *Batch
	select {
	case b = <-e.ready[e.next%len(e.ready)]:
	default:
		select {
		case b = <-e.ready[e.next%len(e.ready)]:
		case <-e.ctx.Done():
			return nil, e.stop(e.ctx.Err())
		}
	}
	if err := b.err; err != nil {
		b.Release()
		return nil, e.stop(err)
	}
	e.next++
	e.tokens <- struct{}{}
	return b, nil
}

// All returns the remaining batches for a range loop. It releases each batch after the body of
// the loop, and closes the epoch at the end. The loop ends after an error.
func (e *Epoch) All() iter.Seq2[*Batch, error] {
	return func(yield func(*Batch, error) bool) {
		defer e.Close()
		for {
			b, err := e.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			more := yield(b, err)
			if err != nil {
				return
			}
			b.Release()
			if !more {
				return
			}
		}
	}
}

// Close stops the workers and waits for them. It may be called more than once.
func (e *Epoch) Close() { e.stop(errors.New("data: the epoch is closed")) }

func (e *Epoch) stop(err error) error {
	e.cancel()
	e.wg.Wait()
	for _, slot := range e.ready {
		select {
		case b := <-slot:
			b.Release()
		default:
		}
	}
	if e.err == nil {
		e.err = err
	}
	return e.err
}
