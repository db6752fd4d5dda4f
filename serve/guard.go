package serve

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// guarded is recovering for requests that need the token, if there is one, and that no page of
// another site may make.
func (s *core) guarded(pattern string, h func(http.ResponseWriter, *http.Request) error) http.Handler {
	cross := http.NewCrossOriginProtection()
	return s.recovering(pattern, func(w http.ResponseWriter, r *http.Request) error {
		if err := s.authorised(w, r); err != nil {
			return err
		}
		if err := cross.Check(r); err != nil {
			return failure(http.StatusForbidden, "a page of another site may not use this server")
		}
		if s.options.Token == "" && fromBrowser(r) && !s.ownHost(r) {
			return failure(http.StatusForbidden, "a browser may not use this server by the name %.100q; serve with a token, or allow the name", r.Host)
		}
		return h(w, r)
	})
}

// authorised returns an error unless the request has the server's token.
func (s *core) authorised(w http.ResponseWriter, r *http.Request) error {
	if s.options.Token == "" {
		return nil
	}
	scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	a, b := sha256.Sum256([]byte(strings.TrimSpace(given))), sha256.Sum256([]byte(s.options.Token)) // equal lengths, compared in constant time
	if strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(a[:], b[:]) == 1 {
		return nil
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="residual"`)
	return failure(http.StatusUnauthorized, "the header Authorization: Bearer TOKEN is missing or has another token")
}

// fromBrowser reports whether a page in a browser made the request.
func fromBrowser(r *http.Request) bool {
	return r.Header.Get("Sec-Fetch-Site") != "" || r.Header.Get("Origin") != ""
}

// ownHost reports whether the request names the server by an address or by a name that no other
// site can point at it.
func (s *core) ownHost(r *http.Request) bool {
	u := url.URL{Host: r.Host}
	name := strings.ToLower(u.Hostname())
	if name == "localhost" || strings.HasSuffix(name, ".localhost") || slices.ContainsFunc(s.options.Hosts, func(h string) bool { return strings.EqualFold(h, name) }) {
		return true
	}
	_, err := netip.ParseAddr(name)
	return err == nil
}

// Loopback reports whether only programs of this machine reach a server at addr, such as
// 127.0.0.1:8000.
func Loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// identity names a request in the answer and in the log: as the client calls it, or by the
// time when the server began and a number.
func (s *core) identity(r *http.Request) string {
	if id := r.Header.Get("X-Request-Id"); id != "" && len(id) <= 64 && printable(id) {
		return id
	}
	return strconv.FormatInt(s.begun.UnixMilli(), 36) + "-" + strconv.FormatInt(s.requests.Add(1), 10)
}

func printable(text string) bool {
	for _, b := range []byte(text) {
		if b <= ' ' || b > '~' {
			return false
		}
	}
	return true
}

// watcher is a ResponseWriter that knows the status of the answer.
type watcher struct {
	http.ResponseWriter
	status  int
	id      string
	accepts string // the compression that the client takes; or ""
	writers *sync.Pool
}

func (w *watcher) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *watcher) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *watcher) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// recovering answers with the errors of h, counts and logs the request, and lets a panic cost
// this request alone.
func (s *core) recovering(pattern string, h func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(plain http.ResponseWriter, r *http.Request) {
		begun := time.Now()
		w := &watcher{ResponseWriter: plain, id: s.identity(r), accepts: accepted(r.Header.Values("Accept-Encoding")), writers: &s.writers}
		w.Header().Set("X-Request-Id", w.id)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		var err error
		func() {
			defer func() {
				if p := recover(); p != nil {
					if p == http.ErrAbortHandler {
						panic(p)
					}
					err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
				}
			}()
			err = h(w, r)
		}()
		if err != nil {
			s.refuse(w, r, err)
		}
		s.meter.request(pattern, w.status)
		s.options.Log.LogAttrs(r.Context(), slog.LevelDebug, "request", slog.String("id", w.id), slog.String("method", r.Method),
			slog.String("path", r.URL.Path), slog.Int("status", w.status), slog.Duration("took", time.Since(begun)), slog.String("from", r.RemoteAddr))
	})
}

// refuse answers with an error.
func (s *core) refuse(w *watcher, r *http.Request, err error) {
	e := explained(err)
	if e.Status == http.StatusInternalServerError {
		s.options.Log.Error("a request failed", "id", w.id, "method", r.Method, "path", r.URL.Path, "error", err)
	}
	if w.status != 0 { // the answer has begun
		return
	}
	if e.retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(e.retry))
	}
	_ = answer(w, e.Status, told{e.Message, w.id})
}
