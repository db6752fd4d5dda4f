package data

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/tensor"
)

// LoaderConfig says how a data set is cut into batches.
type LoaderConfig struct {
	Batch    int    // images in a batch, at least 1
	Shuffle  bool   // a new order every epoch, fixed by (Seed, epoch)
	Seed     uint64 // of the order
	Workers  int    // goroutines that prepare batches; 0 chooses. It never changes a batch
	DropLast bool   // leave out the last batch when it is not full
	// Even lets the last two batches share their images evenly where the last would have
	// fewer than 8, or than half a batch where that is fewer: a training's batch norms take
	// their statistics from every batch, and those of one image are far off.
	Even bool

	// Transform, when set, makes every image anew in every epoch: of the data set's
	// Image when it is one of Images, else of its bytes. It must give the size of
	// Info. Its random numbers are transforms.Rand of (Seed, epoch, index): no number of workers
	// and no order changes them. It runs on the workers, on several at once.
	Transform transforms.Transform
	// Mix, when set, mixes every batch with itself, with random numbers from (Seed, epoch, batch);
	// Batch.Targets then holds what its images show.
	Mix transforms.BatchTransform
	// Normalize is what bytes become; the zero value is in [0, 1].
	Normalize transforms.Normalize
	// Bytes asks for batches as they are stored, for a device that makes their images
	// itself: see Loader.Stored. It is nothing with Mix, which mixes images.
	Bytes bool
}

// Loader prepares batches beside the training.
type Loader struct {
	info  Info
	c     LoaderConfig
	total int
	cut   division
	ahead int             // batches prepared and not yet taken, at most
	table []*[256]float32 // what a byte of a channel becomes
	free  chan *Batch

	croppable *croppable // how Transform begins, or nil
	stored    *Stored    // how batches are stored; nil where they are images
	source    Dataset    // the images as they are stored
	originals originals  // the images that Transform takes
	targets   *targets   // nil for classes
}

// NewLoader checks the settings. Nothing runs before Epoch.
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
	if c.DropLast && ds.Len() < c.Batch {
		return nil, field.Errorf("data set %s holds %d images, fewer than one batch of %d; use a smaller {Batch} or keep the last partial batch",
			info.Name, ds.Len(), c.Batch)
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
	l := &Loader{info: info, c: c, total: ds.Len(), ahead: c.Workers + 2}
	var err error
	if l.targets, err = targetsOf(ds); err != nil {
		return nil, err
	}
	for _, values := range [][]float64{c.Normalize.Mean, c.Normalize.Std} {
		if n := len(values); n != 0 && n != info.Channels {
			return nil, field.Errorf("the images of %s have %d channels, and the mean and std are of %d ({Mean}, {Std})", info.Name, info.Channels, n)
		}
	}
	for channel := range info.Channels {
		table := c.Normalize.Table(channel)
		l.table = append(l.table, &table)
	}
	if c.Transform != nil {
		l.croppable, l.originals = croppableOf(c.Transform), originalsOf(ds)
	}
	l.c.Batch = min(c.Batch, l.total)
	l.cut = divide(l.total, l.c.Batch, c.Even, c.DropLast)
	l.source = ds
	if c.Bytes && c.Mix == nil {
		l.stored, l.source = l.store(ds)
	}
	l.free = make(chan *Batch, l.ahead+2)
	return l, nil
}

// Info describes the images that batches are of.
func (l *Loader) Info() Info { return l.info }

// Bytes is what the batches take that are about at once.
func (l *Loader) Bytes() int64 {
	picture := 4 * l.info.Numel()
	if l.stored != nil {
		picture = l.stored.Numel()
	}
	return int64(l.ahead+1) * int64(l.cut.most()) * int64(picture+16)
}

// Batch is a part of an epoch. Its tensors belong to the loader and are valid until
// Release.
type Batch struct {
	Images  *tensor.Tensor // [n, C, H, W] Float32 in [0, 1], or normalised; nil where there are Pixels
	Pixels  []uint8        // the images as Loader.Stored says, one after the other; else nil
	Labels  *tensor.Tensor // [n] Int64
	Indices []int          // of the images in the data set
	Targets *tensor.Tensor // [n, classes] Float32 soft labels, with LoaderConfig.Mix, or the targets of a Targeted data set; else nil

	loader      *Loader
	pix         []uint8 // one image
	rand        transforms.Rand
	images      []float32
	targets     []float32
	mask        transforms.Image // of the image that was transformed last
	pixels      []uint8
	labels      []int64
	indices     []int
	views       map[int]tensors // of the buffers, for the sizes of batch there are
	outstanding atomic.Bool
	err         error
}

type tensors struct{ images, labels, targets *tensor.Tensor }

// Release gives the buffers back; the batch must not be used after it. Releasing
// twice does nothing.
func (b *Batch) Release() {
	if !b.outstanding.CompareAndSwap(true, false) {
		return
	}
	select {
	case b.loader.free <- b:
	default: // more batches are about than the loader needs
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
			labels: make([]int64, l.cut.most()), indices: make([]int, l.cut.most()),
		}
		if l.targets != nil {
			b.targets = make([]float32, l.cut.most()*l.targets.size)
		}
		if l.stored != nil {
			b.pixels = make([]uint8, l.cut.most()*l.stored.Numel())
		} else {
			b.images = make([]float32, l.cut.most()*l.info.Numel())
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

// fill reads the images named by Indices, those of batch k of an epoch.
func (b *Batch) fill(ctx context.Context, epoch, batch int) error {
	size, classes := len(b.pix), len(b.loader.info.Classes)
	for k, i := range b.Indices {
		if err := ctx.Err(); err != nil {
			return err
		}
		pix, label, err := b.image(epoch, i)
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
		if b.Pixels != nil {
			copy(b.Pixels[k*size:(k+1)*size], pix)
		} else {
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

// values writes what the bytes of an image become.
func (l *Loader) values(out []float32, pix []uint8) {
	area := len(pix) / len(l.table)
	for channel, table := range l.table {
		plane := out[channel*area:][:area]
		for j, v := range pix[channel*area:][:area] {
			plane[j] = table[v]
		}
	}
}

// Epoch is one walk over the data set. Next is for one goroutine.
type Epoch struct {
	l      *Loader
	ctx    context.Context
	cancel context.CancelFunc
	epoch  int
	order  []int32 // nil for the order of the data set
	count  int
	next   int // the batch that Next gives
	claim  atomic.Int64
	tokens chan struct{} // one for every batch that may be ahead of Next
	ready  []chan *Batch // batch k arrives in ready[k % len]; tokens keep it free
	wg     sync.WaitGroup
	err    error // sticky
}

// Epoch starts the workers. The order is a permutation drawn from (Seed, epoch), so
// an epoch can be repeated without those before it. Close it unless Next has
// returned an error, io.EOF included.
func (l *Loader) Epoch(ctx context.Context, epoch int) *Epoch {
	e := &Epoch{l: l, epoch: epoch, count: l.Batches(), tokens: make(chan struct{}, l.ahead), ready: make([]chan *Batch, l.ahead)}
	e.ctx, e.cancel = context.WithCancel(ctx)
	if l.c.Shuffle {
		var r random
		r.reset(l.c.Seed, streamOrder, uint64(epoch))
		e.order = r.permutation(l.total)
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

// work prepares batches until none is left. A worker takes its token before it
// claims a batch, so the batch that Next waits for always has one.
func (e *Epoch) work() {
	for {
		select {
		case <-e.ctx.Done():
			return
		case <-e.tokens:
		}
		k := int(e.claim.Add(1)) - 1
		if k >= e.count {
			return
		}
		first, n := e.l.cut.of(k)
		b := e.l.batch(n)
		for i := range b.Indices {
			b.Indices[i] = first + i
			if e.order != nil {
				b.Indices[i] = int(e.order[first+i])
			}
		}
		b.err = b.fill(e.ctx, e.epoch, k)
		e.ready[k%len(e.ready)] <- b
	}
}

// Next returns the next batch, in order, waiting for it if need be; io.EOF after
// the last one. An error ends the epoch and is returned again by later calls.
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

// Close ends the workers and waits for them. It may be called twice.
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
