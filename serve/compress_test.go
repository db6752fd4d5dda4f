package serve_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
)

// packed compresses a body as an encoding of HTTP does.
func packed(t testing.TB, encoding string, body []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser = gzip.NewWriter(&b)
	if encoding == "deflate" {
		w = zlib.NewWriter(&b)
	}
	if _, err := w.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A compressed body is answered as the body itself; one that is damaged, or large when it is
// unpacked, is refused.
func TestCompressedRequests(t *testing.T) {
	o := quiet()
	o.MaxBody = 100_000
	s, _ := started(t, about(), o)
	file := jpegOf(t, 1)
	want := read(t, ask(s, "POST", "/predict", file), 200).Classes
	for _, encoding := range []string{"gzip", "deflate", "GZIP"} {
		a := read(t, ask(s, "POST", "/predict", packed(t, strings.ToLower(encoding), file), "Content-Encoding", encoding), 200)
		if fmt.Sprint(a.Classes) != fmt.Sprint(want) {
			t.Errorf("%s: %v, want %v", encoding, a.Classes, want)
		}
		body := packed(t, strings.ToLower(encoding), file)
		if w := ask(s, "POST", "/v2/models/animals/infer", body, "Content-Encoding", encoding, "Inference-Header-Content-Length", "0"); w.Code != 200 {
			t.Errorf("%s by the protocol: %d %s", encoding, w.Code, w.Body)
		}
		for what, c := range map[string]struct {
			body   []byte
			status int
			part   string
		}{
			"a bomb":           {packed(t, strings.ToLower(encoding), make([]byte, 50_000_000)), 413, "larger than 100000 bytes"},
			"as much as fits":  {packed(t, strings.ToLower(encoding), make([]byte, 100_000)), 415, "only zeros"},
			"a byte more":      {packed(t, strings.ToLower(encoding), make([]byte, 100_001)), 413, "larger than 100000 bytes"},
			"cut":              {body[:len(body)/2], 400, "the body is not"},
			"with other bytes": {append(bytes.Clone(body[:40]), make([]byte, 90)...), 400, "the body is not"},
			"a file as it is":  {file, 400, "the body is not"},
			"nothing":          {nil, 400, "the body"},
		} {
			if w := ask(s, "POST", "/predict", c.body, "Content-Encoding", encoding); w.Code != c.status || !strings.Contains(w.Body.String(), c.part) {
				t.Errorf("%s %s: %d %s, want %d and %q", encoding, what, w.Code, w.Body, c.status, c.part)
			}
		}
	}
}

// Long answers are compressed for the clients that accept it, and unpack to what others get.
func TestCompressedAnswers(t *testing.T) {
	m := about()
	m.Classes = nil
	for i := range 200 {
		m.Classes = append(m.Classes, fmt.Sprint("a class with the number ", i))
	}
	s, _ := started(t, m, quiet())
	infer := `{"id":"a","inputs":[{"name":"input","shape":[1,3,24,24],"datatype":"FP32","data":[` + strings.Repeat("0.5,", 1727) + `1]}]}`
	for _, c := range []struct{ target, body string }{{"/models/animals", ""}, {"/openapi.json", ""}, {"/v2/models/animals/infer", infer}} {
		method := "GET"
		if c.body != "" {
			method = "POST"
		}
		plain := ask(s, method, c.target, []byte(c.body))
		if plain.Header().Get("Content-Encoding") != "" || plain.Header().Get("Vary") != "Accept-Encoding" || !json.Valid(plain.Body.Bytes()) {
			t.Errorf("%s: %v", c.target, plain.Header())
		}
		for accept, want := range map[string]string{
			"gzip": "gzip", "deflate": "deflate", "br, gzip;q=0.5, deflate;q=0.1": "gzip", "gzip;q=0": "", "br": "", "deflate;q=1, gzip;q=x": "deflate",
		} {
			w := ask(s, method, c.target, []byte(c.body), "Accept-Encoding", accept)
			if got := w.Header().Get("Content-Encoding"); got != want || w.Header().Get("Content-Length") != fmt.Sprint(w.Body.Len()) {
				t.Errorf("%s, %s: encoding %q, want %q; %v", c.target, accept, got, want, w.Header())
				continue
			}
			if want == "" {
				continue
			}
			var r io.Reader
			var err error
			if want == "deflate" {
				r, err = zlib.NewReader(w.Body)
			} else {
				r, err = gzip.NewReader(w.Body)
			}
			if err != nil {
				t.Fatal(err)
			}
			if body, err := io.ReadAll(r); err != nil || !bytes.Equal(body, plain.Body.Bytes()) {
				t.Errorf("%s, %s: %v, %.200s", c.target, accept, err, body)
			}
		}
	}
	if w := ask(s, "GET", "/healthz", nil, "Accept-Encoding", "gzip"); w.Header().Get("Content-Encoding") != "" {
		t.Errorf("a short answer is compressed: %v", w.Header())
	}
}
