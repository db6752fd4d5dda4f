package serve_test

import (
	"encoding/binary"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/residual-ml/residual/serve"
)

// answeredSanely fails if a request was not answered, or was answered as a failure of the server.
func answeredSanely(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	if w.Code < 200 || w.Code >= 500 || w.Body.Len() == 0 {
		t.Errorf("status %d: %.300s", w.Code, w.Body)
	}
}

func fuzzed(f *testing.F) *serve.Server {
	o := quiet()
	o.MaxBody, o.MaxPixels, o.MaxImages = 1<<20, 1<<16, 4
	s, _ := started(f, about(), o)
	return s
}

// Any body of the protocol's inference is answered or refused.
func FuzzInfer(f *testing.F) {
	s := fuzzed(f)
	numbers := `{"inputs":[{"name":"input","shape":[1,3,24,24],"datatype":"FP32","data":[` + strings.Repeat("0.5,", 1727) + `1e40]}],"outputs":[{"name":"logits","parameters":{"classification":2}}]}`
	f.Add([]byte(numbers), "", "")
	file := jpegOf(f, 1)
	head := fmt.Sprintf(`{"id":"a","parameters":{"binary_data_output":true},"inputs":[{"name":"input","shape":[1],"datatype":"BYTES","parameters":{"binary_data_size":%d}}]}`, len(file)+4)
	body := append(binary.LittleEndian.AppendUint32([]byte(head), uint32(len(file))), file...)
	f.Add(body, fmt.Sprint(len(head)), "")
	f.Add(file, "0", "")
	f.Add([]byte(`{"inputs":[{"name":"input","shape":[2],"datatype":"BYTES","data":[["AA=="],["QQ=="]]}]}`), "", "")
	half := `{"inputs":[{"name":"input","shape":[1,3,24,24],"datatype":"FP16","parameters":{"binary_data_size":3456}}]}`
	f.Add(append([]byte(half), make([]byte, 3456)...), fmt.Sprint(len(half)), "")
	f.Add([]byte{0x1f, 0x8b, 8, 0}, "", "gzip")
	f.Add([]byte{0x78, 0x9c, 3, 0, 0, 0, 0, 1}, "", "deflate")
	f.Fuzz(func(t *testing.T, body []byte, length, encoding string) {
		answeredSanely(t, ask(s, "POST", "/v2/models/animals/infer", body, "Inference-Header-Content-Length", length, "Content-Encoding", encoding))
	})
}

// Any body and query of /predict is answered or refused.
func FuzzPredict(f *testing.F) {
	s := fuzzed(f)
	several, kind := form(f, jpegOf(f, 1), []byte("text"))
	f.Add(jpegOf(f, 1), "image/jpeg", "k=2", "1s")
	f.Add(several, kind, "", "")
	f.Add([]byte("--x\r\n"), "multipart/form-data; boundary=x", "gradcam=1&class=1", "0.5")
	f.Fuzz(func(t *testing.T, body []byte, kind, query, timeout string) {
		for _, c := range query {
			if c <= ' ' || c > '~' || c == '#' {
				return // no client sends it
			}
		}
		w := ask(s, "POST", "/predict?"+query, body, "Content-Type", kind, "X-Request-Timeout", timeout)
		if w.Code == 504 && timeout != "" {
			return // it asked for less time than it takes
		}
		answeredSanely(t, w)
	})
}
