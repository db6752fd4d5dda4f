package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/safetensors"
)

// serveHub DIR serves DIR/OWNER/NAME/FILE as Hugging Face does, until the script
// ends, and names itself in HF_ENDPOINT.
func serveHub(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: hub DIR")
	}
	dir := ts.MkAbs(args[0])
	mux := http.NewServeMux()
	mux.HandleFunc("/{owner}/{name}/resolve/main/{file}", func(w http.ResponseWriter, r *http.Request) {
		name := path.Join(dir, r.PathValue("owner"), r.PathValue("name"), r.PathValue("file"))
		b, err := os.ReadFile(name)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("X-Linked-Etag", fmt.Sprintf(`"%x"`, sha256.Sum256(b)))
		http.ServeFile(w, r, name)
	})
	s := httptest.NewServer(mux)
	ts.Defer(s.Close)
	ts.Setenv("HF_ENDPOINT", s.URL)
}

// writeForeign NET CLASSES PATH writes the weights of a shallow net as another program
// would: they say nothing else. With -headless the last layer is missing.
func writeForeign(ts *testscript.TestScript, neg bool, args []string) {
	headless := len(args) > 0 && args[0] == "-headless"
	if headless {
		args = args[1:]
	}
	if neg || len(args) != 3 {
		ts.Fatalf("usage: weights [-headless] NET CLASSES PATH")
	}
	e, err := models.Lookup(args[0])
	ts.Check(err)
	classes, err := strconv.Atoi(args[1])
	ts.Check(err)
	state := nn.StateDict(e.New(models.Config{Classes: classes, Blocks: slices.Repeat([]int{1}, len(e.Blocks))}))
	if headless {
		state = slices.DeleteFunc(state, func(s tensor.Named) bool { return strings.HasPrefix(s.Name, e.Head+".") })
	}
	ts.Check(checkpoint.WriteFile(ts.MkAbs(args[2]), func(w io.Writer) error { return safetensors.Write(w, state, nil) }))
}
