package serve_test

import (
	"net/http"
	"strings"
	"testing"
)

// In another mux, below a path, everything is found: also what the page asks for.
func TestMounted(t *testing.T) {
	s, _ := started(t, about(), quiet())
	mux := http.NewServeMux()
	mux.Handle("/classify/", http.StripPrefix("/classify", s))
	if a := read(t, ask(mux, "POST", "/classify/predict", jpegOf(t, 1)), 200); a.Model != "animals" {
		t.Errorf("got %+v", a)
	}
	page := ask(mux, "GET", "/classify/", nil).Body.String()
	for _, absolute := range []string{`href="/`, `src="/`} {
		if strings.Contains(page, absolute) {
			t.Errorf("the page has an absolute address: %s", absolute)
		}
	}
	for _, file := range []string{"page.js", "page.css", "favicon.svg", "models", "openapi.json"} {
		if w := ask(mux, "GET", "/classify/"+file, nil); w.Code != 200 {
			t.Errorf("%s: %d", file, w.Code)
		}
	}
}
