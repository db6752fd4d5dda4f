package main

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path"

	"github.com/rogpeppe/go-internal/testscript"
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
