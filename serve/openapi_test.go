package serve_test

import (
	"bytes"

	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/residual-ml/residual/serve"
)

// described is the description that the server gives of itself.
func described(t *testing.T, s *serve.Server) (*openapi3.T, routers.Router) {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(ask(s, "GET", "/openapi.json", nil).Body.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return doc, router
}

// Every path that the description has is answered, with a status, headers and a body that it
// describes.
func TestOpenAPI(t *testing.T) {
	openapi3filter.RegisterBodyDecoder("image/png", openapi3filter.FileBodyDecoder)
	openapi3filter.RegisterBodyDecoder("text/html", openapi3filter.FileBodyDecoder)
	s, _ := started(t, about(), quiet())
	doc, router := described(t, s)
	version := read(t, ask(s, "POST", "/predict", jpegOf(t, 1)), 200).Version
	full := []byte(`{"id":"1","inputs":[{"name":"input","shape":[1,3,24,24],"datatype":"FP32","data":[` + strings.Repeat("0,", 1727) + `0]}]}`)
	check := func(method, target string, body []byte, kind string) {
		t.Helper()
		r := httptest.NewRequest(method, "http://localhost"+target, bytes.NewReader(body))
		if kind != "" {
			r.Header.Set("Content-Type", kind)
		}
		route, parameters, err := router.FindRoute(r)
		if err != nil {
			t.Errorf("%s %s: %v", method, target, err)
			return
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		in := &openapi3filter.RequestValidationInput{Request: r, PathParams: parameters, Route: route}
		out := &openapi3filter.ResponseValidationInput{
			RequestValidationInput: in, Status: w.Code, Header: w.Header(), Options: &openapi3filter.Options{IncludeResponseStatus: true},
		}
		out.SetBodyBytes(w.Body.Bytes())
		if err := openapi3filter.ValidateResponse(t.Context(), out); err != nil {
			t.Errorf("%s %s: status %d: %v\n%.300s", method, target, w.Code, err, w.Body)
		}
	}
	for _, path := range doc.Paths.InMatchingOrder() {
		target := strings.NewReplacer("{model}", "animals", "{version}", version, "{region}", "a").Replace(path)
		other := strings.NewReplacer("{model}", "other", "{version}", "1", "{region}", "a").Replace(path)
		for method := range doc.Paths.Value(path).Operations() {
			kind, bodies := "", [][]byte{nil}
			switch {
			case strings.HasSuffix(path, "/infer"):
				kind, bodies = "application/json", [][]byte{full, []byte("{}"), []byte("no JSON")}
			case strings.HasSuffix(path, "/predict"):
				kind, bodies = "image/jpeg", [][]byte{jpegOf(t, 1), []byte("no image")}
			}
			for _, body := range bodies {
				check(method, target, body, kind)
				check(method, other, body, kind)
			}
		}
	}
	several, kind := form(t, jpegOf(t, 1), []byte("no image"))
	check("POST", "/predict", several, kind)
	check("POST", "/predict?gradcam=1", jpegOf(t, 1), "image/jpeg")
	check("POST", "/predict?k=x", jpegOf(t, 1), "image/jpeg")
	s.Drain()
	check("GET", "/readyz", nil, "")
	check("GET", "/v2/models/animals/ready", nil, "")
}

// The server has no path that the description lacks.
func TestOpenAPIIsComplete(t *testing.T) {
	s, _ := started(t, about(), quiet())
	doc, _ := described(t, s)
	files := []string{"GET /page.js", "GET /page.css", "GET /favicon.svg", "GET /v2/"} // of the page, and another spelling
	for _, pattern := range s.Patterns() {
		method, path, _ := strings.Cut(strings.ReplaceAll(pattern, "{$}", ""), " ")
		if slices.Contains(files, method+" "+path) || pattern == "/" {
			continue
		}
		if !strings.HasPrefix(pattern, "/") {
			if item := doc.Paths.Value(path); item == nil || item.GetOperation(method) == nil {
				t.Errorf("%s is not described", pattern)
			}
			continue
		}
		if !slices.ContainsFunc(doc.Paths.InMatchingOrder(), func(p string) bool { return strings.HasPrefix(p, pattern) }) {
			t.Errorf("nothing below %s is described", pattern)
		}
	}
	if len(s.Patterns()) < 20 {
		t.Errorf("only %d patterns", len(s.Patterns()))
	}
}
