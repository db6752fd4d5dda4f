package serve_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/serve"
)

// A service of one's own: a server of a model, below a path of a mux that has other handlers, too.
func Example() {
	dir, err := os.MkdirTemp("", "example")
	must(err)
	defer os.RemoveAll(dir)
	file := untrained(dir) // such as runs/train-1

	dev, err := cpu.New(cpu.Options{})
	must(err)
	defer dev.Close()
	animals, err := serve.New([]serve.Model{serve.File("animals", file, dev)}, serve.Options{})
	must(err)
	defer animals.Close()
	mux := http.NewServeMux()
	mux.Handle("/animals/", http.StripPrefix("/animals", animals)) // POST /animals/predict, and the page at /animals/
	mux.HandleFunc("GET /about", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "It knows ants and bees.") })
	server := httptest.NewServer(mux)
	defer server.Close()

	r, err := http.Post(server.URL+"/animals/predict", "text/plain", strings.NewReader("no image"))
	must(err)
	fmt.Println(r.Status)
	must(r.Body.Close())
	// Output: 415 Unsupported Media Type
}

// untrained writes a small model.
func untrained(dir string) string {
	m, err := models.New("cifar-resnet8", models.Config{Classes: 2})
	must(err)
	nn.Init(m, 1, nn.KaimingNormal)
	file, about := filepath.Join(dir, "animals.safetensors"), about()
	about.Classes = []string{"ant", "bee"}
	must(checkpoint.SaveModel(file, about, nn.StateDict(m)))
	return file
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
