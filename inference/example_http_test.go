package inference_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"time"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/inference"
)

// classify answers an uploaded image with its three most likely classes as JSON. Requests at the
// same time share batches.
func classify(c *inference.Classifier) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, stop := context.WithTimeout(r.Context(), 10*time.Second)
		defer stop()
		likeliest, err := c.PredictReader(ctx, http.MaxBytesReader(w, r.Body, 1<<20), 3)
		switch {
		case errors.As(err, new(*http.MaxBytesError)):
			http.Error(w, "the image is larger than 1 MB", http.StatusRequestEntityTooLarge)
		case errors.As(err, new(*inference.ImageError)):
			http.Error(w, err.Error(), http.StatusUnsupportedMediaType)
		case ctx.Err() != nil, errors.Is(err, inference.ErrClosed):
			http.Error(w, "try again later", http.StatusServiceUnavailable)
		case err != nil:
			http.Error(w, "the image cannot be classified", http.StatusInternalServerError)
		default:
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(likeliest)
		}
	}
}

// An HTTP service classifies uploaded images. Its limits are those of the body, of the pixels that
// are decoded, and of the time.
func ExampleClassifier_PredictReader() {
	dev, err := cpu.New(cpu.Options{})
	must(err)
	defer dev.Close()
	dir, err := os.MkdirTemp("", "example")
	must(err)
	defer os.RemoveAll(dir)
	model, photo := trained(dev, dir) // such as runs/train-1/best.safetensors

	c, err := inference.Load(model, dev, engine.Auto)
	must(err)
	defer c.Close() // after the server, so that no request is lost
	c.Decoding.MaxPixels = 20_000_000
	must(c.Warm(context.Background()))
	server := httptest.NewServer(classify(c))
	defer server.Close()

	image, err := os.ReadFile(photo)
	must(err)
	for _, body := range []string{string(image), "no image", strings.Repeat("?", 2<<20)} {
		r, err := http.Post(server.URL, "image/jpeg", strings.NewReader(body))
		must(err)
		answer, err := io.ReadAll(r.Body)
		must(errors.Join(err, r.Body.Close()))
		fmt.Println(r.StatusCode, strings.Contains(string(answer), "trouser"))
	}
	// Output:
	// 200 true
	// 415 false
	// 413 false
}
