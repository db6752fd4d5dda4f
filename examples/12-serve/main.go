// Command 12-serve answers HTTP requests with a trained model. It shows that a handler is one call,
// which many goroutines make at the same time: those that wait are computed as one batch.
//
//	curl --data-binary @shoe.jpg http://localhost:8080/
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"

	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/train"
)

// handler answers an image with its three most likely classes, as JSON.
func handler(c *inference.Classifier) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		likeliest, err := c.PredictReader(r.Context(), http.MaxBytesReader(w, r.Body, 10<<20), 3)
		switch {
		case errors.As(err, new(*http.MaxBytesError)):
			http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		case errors.As(err, new(*inference.ImageError)):
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		case err != nil:
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		default:
			w.Header().Set("Content-Type", "application/json")
			json.NewEncoder(w).Encode(likeliest)
		}
	}
}

func main() {
	ctx := context.Background()
	dev := must(cpu.New(cpu.Options{}))
	defer dev.Close()
	dir := must(os.MkdirTemp("", "residual"))
	defer os.RemoveAll(dir)
	photos := filepath.Join(dir, "photos") // generated here: a folder of JPEG files for each of ten classes
	check(folder.Make(ctx, photos, folder.MakeConfig{PerClass: 30}))
	run := must(train.Run(ctx, dev, train.Config{
		Data: photos, Model: "d2l-bnlenet", Resize: 28, Batch: 32, LR: 0.3, Epochs: 4, Out: filepath.Join(dir, "runs"),
	}, train.Callbacks{}))

	c := must(inference.Load(run.Best, dev, engine.Auto))
	defer c.Close()
	check(c.Warm(ctx))                       // so that the first requests are as fast as later ones
	server := httptest.NewServer(handler(c)) // a service calls http.ListenAndServe("localhost:8080", handler(c))
	defer server.Close()

	image := must(os.ReadFile(filepath.Join(photos, "trouser", "0000.jpg")))
	answers := make([]string, 32)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() { _, answers[i] = post(server.URL, image) })
	}
	all.Wait()
	same := 0
	for _, answer := range answers {
		if answer == answers[0] {
			same++
		}
	}
	log.Print(answers[0])
	fmt.Println(same, "of 32 answers have the same bits")
	fmt.Println(post(server.URL, []byte("no image")))
}

func post(url string, content []byte) (status, answer string) {
	r := must(http.Post(url, "application/octet-stream", bytes.NewReader(content)))
	defer r.Body.Close()
	var text bytes.Buffer
	must(text.ReadFrom(r.Body))
	return r.Status, text.String()
}

func must[T any](v T, err error) T {
	check(err)
	return v
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
