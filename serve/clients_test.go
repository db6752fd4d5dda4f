package serve_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Other people's clients of the Open Inference Protocol: testdata/clients.py says which.
// RESIDUAL_CLIENTS names a Python interpreter that has them; .ci/run makes one.
func TestClients(t *testing.T) {
	python := os.Getenv("RESIDUAL_CLIENTS")
	if python == "" {
		t.Skip("RESIDUAL_CLIENTS is not set; it names a Python interpreter with tritonclient[http] and open-inference-openapi")
	}
	s, _ := started(t, about(), quiet())
	url, end := serving(t, s, "127.0.0.1:0")
	defer end()
	photo := filepath.Join(t.TempDir(), "photo.jpg")
	if err := os.WriteFile(photo, jpegOf(t, 1), 0o666); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(python, "testdata/clients.py", url, "animals", photo).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Log(strings.TrimSpace(string(out)))
}

// curl, as the documentation uses it.
func TestCurl(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("no curl in PATH; install it to send images with it (apt install curl)")
	}
	s, _ := started(t, about(), quiet())
	url, end := serving(t, s, "127.0.0.1:0")
	defer end()
	dir := t.TempDir()
	photo := filepath.Join(dir, "photo.jpg")
	if err := os.WriteFile(photo, jpegOf(t, 1), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		part string
	}{
		{[]string{"-T", photo, url + "/predict"}, `"classes":[{"class"`},
		{[]string{"--data-binary", "@" + photo, url + "/predict?k=1"}, `"classes":[{"class"`},
		{[]string{"-F", "image=@" + photo, "-F", "image=@" + photo, url + "/predict"}, `"images":[{"name":"photo.jpg","classes"`},
		{[]string{"-T", photo, url + "/predict?gradcam=1"}, "PNG"},
		{[]string{"-H", "Inference-Header-Content-Length: 0", "--data-binary", "@" + photo, url + "/v2/models/animals/infer"}, `"outputs":[{"name":"logits"`},
		{[]string{url + "/models"}, `"name":"animals"`},
		{[]string{url + "/metrics"}, "residual_requests_total"},
	} {
		out, err := exec.Command(curl, append([]string{"-sS", "--fail-with-body", "--max-time", "20"}, c.args...)...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), c.part) {
			t.Errorf("curl %v: %v\n%.400s", c.args, err, out)
		}
	}
}
