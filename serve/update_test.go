package serve_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/serve"
)

// rounds returns long if RESIDUAL_LONG is set, and otherwise few.
func rounds(few, long int) int {
	if os.Getenv("RESIDUAL_LONG") != "" {
		return long
	}
	return few
}

// replace puts a file in the place of another at once.
func replace(t testing.TB, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to+".new", content, 0o666)
	}
	if err == nil {
		err = os.Rename(to+".new", to)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// expect returns what the model in a file answers for an image.
func expect(t testing.TB, dev engine.Device, path string, image []byte) []inference.Prediction {
	t.Helper()
	c, err := inference.Load(path, dev, engine.Auto)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	p, err := c.PredictBytes(t.Context(), image, 0)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Swaps under load: no request fails, and every answer is that of the version it names.
func TestSwaps(t *testing.T) {
	s, path := started(t, about(), quiet())
	dev, image := device(t), jpegOf(t, 1)
	var kept []string
	want := map[string][]inference.Prediction{}
	for i := range 2 {
		kept = append(kept, filepath.Join(t.TempDir(), fmt.Sprint(i, ".safetensors")))
		write(t, kept[i], about(), uint64(i+1), nil)
		replace(t, kept[i], path)
		s.Reload()
		want[read(t, ask(s, "POST", "/predict", image), 200).Version] = expect(t, dev, kept[i], image)
	}
	if len(want) != 2 {
		t.Fatalf("the versions are %v", want)
	}
	ended := make(chan struct{})
	var all sync.WaitGroup
	var answers atomic.Int64
	body, kind := form(t, image, image, image)
	for i := range 4 {
		all.Go(func() {
			for {
				select {
				case <-ended:
					return
				default:
				}
				w := ask(s, "POST", "/predict?k=0", image)
				if i%2 == 1 {
					w = ask(s, "POST", "/predict?k=0", body, "Content-Type", kind)
				}
				var a answered
				if err := json.Unmarshal(w.Body.Bytes(), &a); w.Code != 200 || err != nil {
					t.Errorf("status %d: %s", w.Code, w.Body)
					return
				}
				for _, one := range append(a.Images, a) {
					if one.Classes != nil && !slices.Equal(one.Classes, want[a.Version]) {
						t.Errorf("version %s answered %v, want %v", a.Version, one.Classes, want[a.Version])
						return
					}
				}
				answers.Add(1)
			}
		})
	}
	for i := range rounds(20, 1000) {
		replace(t, kept[i%2], path)
		s.Reload()
	}
	close(ended)
	all.Wait()
	if answers.Load() == 0 {
		t.Error("no request was answered")
	}
}

// A watched file is replaced when it changes. One that cannot be served leaves the old one, which
// the log, the metrics and the card tell, and the next good one serves again.
func TestWatch(t *testing.T) {
	o := quiet()
	o.Watch = 5 * time.Millisecond
	s, path := started(t, about(), o)
	image := jpegOf(t, 1)
	version := func() string { return read(t, ask(s, "POST", "/predict", image), 200).Version }
	first := version()
	other, spoilt := filepath.Join(t.TempDir(), "other"), filepath.Join(t.TempDir(), "spoilt")
	write(t, other, about(), 2, nil)
	write(t, spoilt, about(), 3, func(m nn.Module) { nn.StateDict(m)[0].Tensor.Data()[0] = float32(math.Inf(1)) })
	until := func(what string, ok func() bool) {
		t.Helper()
		for range 2000 {
			if ok() {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
		t.Fatal(what)
	}
	replace(t, other, path)
	until("the new file never serves", func() bool { return version() != first })
	second := version()
	for _, bad := range []func(){
		func() { replace(t, spoilt, path) },
		func() { _ = os.WriteFile(path, []byte("half a fi"), 0o666) },
	} {
		bad()
		until("the failure is not told", func() bool {
			return strings.Contains(ask(s, "GET", "/models/animals", nil).Body.String(), "cannot be served")
		})
		if version() != second || !strings.Contains(ask(s, "GET", "/metrics", nil).Body.String(), "residual_models_behind 1") {
			t.Errorf("after a bad file: version %s, want %s", version(), second)
		}
		replace(t, other, path)
		until("the good file is not noticed", func() bool {
			return strings.Contains(ask(s, "GET", "/metrics", nil).Body.String(), "residual_models_behind 0")
		})
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	time.Sleep(30 * time.Millisecond)
	if version() != second {
		t.Error("without its file the model is gone")
	}
}

// serving starts a server on a port of this machine. Its end waits for the requests.
func serving(t testing.TB, s *serve.Server, addr string) (url string, end func()) {
	t.Helper()
	var l net.Listener
	var err error
	for range 200 { // the port of a server that has just ended
		if l, err = net.Listen("tcp", addr); err == nil {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l, 20*time.Second) }()
	return "http://" + l.Addr().String(), sync.OnceFunc(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// A server that is told to end says that it is not ready, answers what it has accepted, and ends.
func TestDrain(t *testing.T) {
	o := quiet()
	o.Batching = inference.Batching{MaxDelay: 300 * time.Millisecond}
	s, _ := started(t, about(), o)
	url, end := serving(t, s, "127.0.0.1:0")
	image := jpegOf(t, 1)
	codes := make(chan int, 3)
	for range 3 {
		go func() {
			r, err := http.Post(url+"/predict", "image/jpeg", bytes.NewReader(image))
			if err != nil {
				t.Error(err)
				codes <- 0
				return
			}
			r.Body.Close()
			codes <- r.StatusCode
		}()
	}
	for !strings.Contains(ask(s, "GET", "/metrics", nil).Body.String(), "residual_queue_images 3") {
		time.Sleep(time.Millisecond)
	}
	s.Drain()
	if w := ask(s, "GET", "/readyz", nil); w.Code != 503 {
		t.Errorf("while it ends the server is ready: %d", w.Code)
	}
	end()
	for range 3 {
		if code := <-codes; code != 200 {
			t.Errorf("an accepted request got %d", code)
		}
	}
	if _, err := http.Get(url + "/healthz"); err == nil {
		t.Error("the port is still open")
	}
}

// Restarts under load: every request that a server began to answer arrives.
func TestRestarts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "animals.safetensors")
	write(t, path, about(), 1, nil)
	dev, image := device(t), jpegOf(t, 1)
	addr := freeAddr(t)
	var accepted, received atomic.Int64
	ended := make(chan struct{})
	var all sync.WaitGroup
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for range 4 {
		all.Go(func() {
			for {
				select {
				case <-ended:
					return
				default:
				}
				r, err := client.Post("http://"+addr+"/predict", "image/jpeg", bytes.NewReader(image))
				if err != nil {
					time.Sleep(time.Millisecond) // between two servers
					continue
				}
				if _, err := io.Copy(io.Discard, r.Body); err == nil && r.StatusCode == 200 {
					received.Add(1)
				}
				r.Body.Close()
			}
		})
	}
	for range rounds(5, 100) {
		s, err := serve.New([]serve.Model{serve.File("", path, dev)}, quiet())
		if err != nil {
			t.Fatal(err)
		}
		before := received.Load()
		_, end := serving(t, s, addr)
		for received.Load() < before+3 {
			runtime.Gosched()
		}
		end()
		accepted.Add(counted(t, s))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	close(ended)
	all.Wait()
	if accepted.Load() != received.Load() {
		t.Errorf("%d requests were accepted and %d answers arrived", accepted.Load(), received.Load())
	}
}

// counted returns the number of images that a server has computed.
func counted(t testing.TB, s http.Handler) (n int64) {
	t.Helper()
	for line := range strings.Lines(ask(s, "GET", "/metrics", nil).Body.String()) {
		if text, ok := strings.CutPrefix(line, `residual_images_total{model="animals"} `); ok {
			if _, err := fmt.Sscan(text, &n); err != nil {
				t.Fatal(err)
			}
		}
	}
	return n
}

func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Clients that send slowly, or nothing, or close their half of the connection, do not keep others from
// their answers, and hold neither the queue nor goroutines after their time.
func TestSlowClients(t *testing.T) {
	o := quiet()
	o.ReadTimeout = 2 * time.Second
	s, _ := started(t, about(), o)
	url, end := serving(t, s, "127.0.0.1:0")
	defer end()
	image := jpegOf(t, 1)
	before := runtime.NumGoroutine()
	var conns []net.Conn
	head := fmt.Sprintf("POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n", len(image))
	for i := range rounds(300, 2000) {
		c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
		switch i % 4 {
		case 0: // nothing
		case 1:
			_, _ = io.WriteString(c, head[:20])
		case 2:
			_, _ = io.WriteString(c, head+string(image[:100]))
		case 3:
			_, _ = io.WriteString(c, head+string(image[:100]))
			_ = c.(*net.TCPConn).CloseWrite()
		}
	}
	for range 20 {
		r, err := http.Post(url+"/predict", "image/jpeg", bytes.NewReader(image))
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode != 200 {
			t.Errorf("beside slow clients a request got %d", r.StatusCode)
		}
	}
	if w := ask(s, "GET", "/metrics", nil); !strings.Contains(w.Body.String(), "residual_queue_images 0") {
		t.Error("slow clients hold places of the queue")
	}
	for _, c := range conns {
		c.Close()
	}
	http.DefaultClient.CloseIdleConnections()
	for range 500 {
		if runtime.NumGoroutine() <= before+5 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines before the slow clients and %d after", before, runtime.NumGoroutine())
}

// A body that does not arrive in its time is answered with 408.
func TestLateBody(t *testing.T) {
	o := quiet()
	o.ReadTimeout = 50 * time.Millisecond
	s, _ := started(t, about(), o)
	url, end := serving(t, s, "127.0.0.1:0")
	defer end()
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nabc")
	answer, err := io.ReadAll(c)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 408 ") {
		t.Errorf("%v: %.300s", err, answer)
	}
}

// The time for a body does not limit the time for its answer.
func TestLateAnswer(t *testing.T) {
	o := quiet()
	o.ReadTimeout, o.Batching.MaxDelay = 50*time.Millisecond, 400*time.Millisecond
	s, _ := started(t, about(), o)
	url, end := serving(t, s, "127.0.0.1:0")
	defer end()
	r, err := http.Post(url+"/predict", "image/jpeg", bytes.NewReader(jpegOf(t, 1)))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if body, err := io.ReadAll(r.Body); err != nil || r.StatusCode != 200 || !bytes.Contains(body, []byte(`"classes"`)) {
		t.Errorf("%v: status %d: %s", err, r.StatusCode, body)
	}
}

// A panic costs its own request, gets an id, and is logged.
func TestPanic(t *testing.T) {
	s, _ := started(t, about(), quiet())
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest("POST", "/predict", failing{}))
	if w.Code != 500 || strings.Contains(w.Body.String(), "goroutine") || !strings.Contains(w.Body.String(), `"id"`) {
		t.Errorf("a panic: %d %s", w.Code, w.Body)
	}
	if w := ask(s, "POST", "/predict", jpegOf(t, 1)); w.Code != 200 {
		t.Errorf("after a panic: %d %s", w.Code, w.Body)
	}
}

// failing is a body that panics.
type failing struct{}

func (failing) Read([]byte) (int, error) { panic(errors.New("stumbled")) }

// Under load for a while, memory, goroutines and files do not grow.
func TestSoak(t *testing.T) {
	seconds := rounds(1, 30)
	if text := os.Getenv("RESIDUAL_SOAK"); text != "" {
		if _, err := fmt.Sscan(text, &seconds); err != nil {
			t.Fatalf("RESIDUAL_SOAK=%s: give seconds", text)
		}
	}
	s, _ := started(t, about(), quiet())
	url, end := serving(t, s, "127.0.0.1:0")
	defer end()
	images := [][]byte{jpegOf(t, 1), jpegOf(t, 2), []byte("no image")}
	load := func(d time.Duration) {
		var all sync.WaitGroup
		until := time.Now().Add(d)
		for i := range 8 {
			all.Go(func() {
				for n := i; time.Now().Before(until); n++ {
					r, err := http.Post(url+"/predict", "image/jpeg", bytes.NewReader(images[n%3]))
					if err != nil {
						t.Error(err)
						return
					}
					_, _ = io.Copy(io.Discard, r.Body)
					r.Body.Close()
				}
			})
		}
		all.Wait()
		http.DefaultClient.CloseIdleConnections()
	}
	measure := func() (heap uint64, goroutines, files int) {
		time.Sleep(50 * time.Millisecond)
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		open, _ := os.ReadDir("/proc/self/fd")
		return m.HeapAlloc, runtime.NumGoroutine(), len(open)
	}
	load(500 * time.Millisecond)
	heap, goroutines, files := measure()
	load(time.Duration(seconds) * time.Second)
	heapAfter, goroutinesAfter, filesAfter := measure()
	t.Logf("%d images; heap %d to %d bytes, goroutines %d to %d, files %d to %d", counted(t, s), heap, heapAfter, goroutines, goroutinesAfter, files, filesAfter)
	if heapAfter > heap+heap/4+2<<20 || goroutinesAfter > goroutines+5 || filesAfter > files+5 {
		t.Errorf("it grew: heap %d to %d bytes, goroutines %d to %d, files %d to %d", heap, heapAfter, goroutines, goroutinesAfter, files, filesAfter)
	}
}
