package serve

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
)

// smallestCompressed is the length from which answers are compressed. A shorter one fits into one
// packet as it is.
const smallestCompressed = 1400

// The names of compressions in HTTP. What HTTP calls deflate is the format of zlib.
const (
	encodingGzip    = "gzip"
	encodingDeflate = "deflate"
)

// compressor writes one of the two formats.
type compressor interface {
	io.WriteCloser
	Reset(w io.Writer)
}

// compressors are one of each format, for a use at a time.
type compressors map[string]compressor

func newCompressors() compressors {
	g, _ := gzip.NewWriterLevel(io.Discard, flate.BestSpeed) // the level is valid
	z, _ := zlib.NewWriterLevel(io.Discard, flate.BestSpeed)
	return compressors{encodingGzip: g, encodingDeflate: z}
}

// send answers with a text or tensors, compressed if the client accepts it. The header has
// everything but the length.
func send(w http.ResponseWriter, status int, body []byte) {
	if to, ok := w.(*watcher); ok && len(body) >= smallestCompressed {
		w.Header().Add("Vary", "Accept-Encoding")
		if to.accepts != "" {
			body = to.compressed(body)
			w.Header().Set("Content-Encoding", to.accepts)
		}
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may have gone
}

func (w *watcher) compressed(body []byte) []byte {
	all, ok := w.writers.Get().(compressors)
	if !ok {
		all = newCompressors()
	}
	defer w.writers.Put(all)
	var b bytes.Buffer
	c := all[w.accepts]
	c.Reset(&b)
	_, _ = c.Write(body) // to memory, which does not fail
	_ = c.Close()
	return b.Bytes()
}

// accepted returns the compression of the two that a client prefers, or "" if it accepts none.
func accepted(header []string) (best string) {
	most := 0.0
	for part := range strings.SplitSeq(strings.Join(header, ","), ",") {
		name, rest, _ := strings.Cut(part, ";")
		quality := 1.0
		if _, text, found := strings.Cut(rest, "="); found {
			var err error
			if quality, err = strconv.ParseFloat(strings.TrimSpace(text), 64); err != nil {
				quality = 0
			}
		}
		name = strings.ToLower(strings.TrimSpace(name))
		if (name == encodingGzip || name == encodingDeflate) && quality > most {
			best, most = name, quality
		}
	}
	return best
}

// unpacked returns the content of a request's body without its compression, and its length if it is
// known, or -1.
func unpacked(r *http.Request, body io.Reader) (content io.Reader, size int64, err error) {
	encoding := strings.ToLower(r.Header.Get("Content-Encoding"))
	switch encoding {
	case "", "identity":
		return body, r.ContentLength, nil
	case encodingGzip:
		content, err = gzip.NewReader(body)
	case encodingDeflate:
		content, err = zlib.NewReader(body)
	default:
		return nil, 0, failure(http.StatusUnsupportedMediaType, "Content-Encoding %.40q: send gzip, deflate, or the body as it is", encoding)
	}
	return explaining{content, encoding}, -1, misread(encoding, err)
}

// explaining is a compressed body whose errors say what is wrong with it.
type explaining struct {
	io.Reader
	encoding string
}

func (e explaining) Read(p []byte) (int, error) {
	n, err := e.Reader.Read(p)
	return n, misread(e.encoding, err)
}

// misread returns the error for a body that is not compressed as it says. Other errors stay as they
// are.
func misread(encoding string, err error) error {
	switch {
	case err == nil, err == io.EOF, errors.As(err, new(*http.MaxBytesError)), errors.Is(err, os.ErrDeadlineExceeded):
		return err
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum), errors.Is(err, zlib.ErrHeader), errors.Is(err, zlib.ErrChecksum),
		errors.Is(err, zlib.ErrDictionary), errors.As(err, new(flate.CorruptInputError)), errors.Is(err, io.ErrUnexpectedEOF):
		return failure(http.StatusBadRequest, "the body is not %s: %v", encoding, err)
	}
	return err
}
