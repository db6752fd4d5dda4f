package serve

import (
	"cmp"
	"log/slog"
	"runtime"
	"time"

	"github.com/residual-ml/residual/data/photo"
	"github.com/residual-ml/residual/inference"
)

// Options are the settings of a Server. Zero values stand for the defaults.
type Options struct {
	// Batching says how requests at the same time share batches.
	Batching inference.Batching

	// Queue is the number of images that are accepted and not yet answered; default 128. A
	// request beyond it is refused at once, with status 503 and the time after which to try again.
	Queue int

	// Decoders is the number of images that are decoded at the same time; default
	// runtime.GOMAXPROCS.
	Decoders int

	// The limits of a request: bytes of its body (default 32 MiB) and of its head (for Serve; 64 KiB),
	// pixels of an image (default photo.DefaultMaxPixels) and images in a request (default 64).
	MaxBody   int64
	MaxHeader int
	MaxPixels int64
	MaxImages int

	// ReadTimeout is the time in which a request must have arrived; default 30 seconds.
	// Timeout is the longest that a request may take then; default a minute. A request may ask
	// for less, by its header X-Request-Timeout.
	ReadTimeout, Timeout time.Duration

	// BodyMemory is the memory in bytes of all bodies that are being received; default 512 MiB.
	BodyMemory int64

	// Token, if it is not empty, must be in the header "Authorization: Bearer TOKEN" of every
	// request except those for the page's files and for health.
	Token string

	// Hosts are further names by which browsers may reach the server, such as that of a
	// reverse proxy. Without a Token, a page whose address has another name than these and
	// those of the machine itself (localhost, or an IP address) cannot use the server from a browser.
	Hosts []string

	// Watch is how often the files of models are looked at; default every second, and below 0
	// never. Reload looks at once.
	Watch time.Duration

	// Log receives what happens; default slog.Default(). Requests are logged at slog.LevelDebug,
	// and failures of the server at slog.LevelError with the id that the client got.
	Log *slog.Logger

	// Version is the version of the program, for clients.
	Version string
}

func (o Options) resolved() Options {
	o.Queue = cmp.Or(max(o.Queue, 0), 128)
	o.Decoders = cmp.Or(max(o.Decoders, 0), runtime.GOMAXPROCS(0))
	o.MaxBody = cmp.Or(max(o.MaxBody, 0), 32<<20)
	o.MaxHeader = cmp.Or(max(o.MaxHeader, 0), 64<<10)
	o.MaxPixels = cmp.Or(max(o.MaxPixels, 0), photo.DefaultMaxPixels)
	o.MaxImages = cmp.Or(max(o.MaxImages, 0), 64)
	o.ReadTimeout = cmp.Or(max(o.ReadTimeout, 0), 30*time.Second)
	o.Timeout = cmp.Or(max(o.Timeout, 0), time.Minute)
	o.BodyMemory = cmp.Or(max(o.BodyMemory, 0), 512<<20)
	o.Watch = cmp.Or(o.Watch, time.Second)
	o.Log = cmp.Or(o.Log, slog.Default())
	o.Version = cmp.Or(o.Version, "devel")
	return o
}
