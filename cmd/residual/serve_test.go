package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"image"
	"image/png"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/prepare"
)

// writeNet writes a small model with the weights of a seed.
func writeNet(t *testing.T, path string, seed uint64) {
	t.Helper()
	m, err := models.New("cifar-resnet8", models.Config{Channels: 3, Classes: 3})
	if err != nil {
		t.Fatal(err)
	}
	nn.Init(m, seed, nn.KaimingNormal)
	about := checkpoint.Model{Architecture: "cifar-resnet8", Classes: []string{"a", "b", "c"}, Input: prepare.Input{Channels: 3, Height: 24, Width: 24}}
	if err := checkpoint.SaveModel(path+".new", about, nn.StateDict(m)); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// The server as a process: it prints its address, answers, takes a new file on SIGHUP, and ends with status 0 on SIGTERM.
func TestServe(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no signals that one program sends to another")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	model := filepath.Join(t.TempDir(), "net.safetensors")
	writeNet(t, model, 1)
	cmd := exec.Command(self, "serve", "letters="+model, "--addr", "127.0.0.1:0", "--log-format", "json", "--log-requests")
	cmd.Args[0] = "residual"
	cmd.Env = append(os.Environ(), "RESIDUAL_TOKEN=secret")
	var log bytes.Buffer
	cmd.Stderr = &log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	line, err := bufio.NewReader(out).ReadString('\n')
	url, _, found := strings.Cut(line, "/ in a browser")
	if err != nil || !found {
		t.Fatalf("%v: %q\n%s", err, line, log.String())
	}
	var picture bytes.Buffer
	if err := png.Encode(&picture, image.NewGray(image.Rect(0, 0, 30, 30))); err != nil {
		t.Fatal(err)
	}
	predict := func(token string) (status int, version string) {
		t.Helper()
		r, err := http.NewRequest("PUT", url+"/predict", bytes.NewReader(picture.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		a, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Body.Close()
		body, err := io.ReadAll(a.Body)
		var answer struct {
			Model, Version string
			Classes        []struct{ Class string }
		}
		if err != nil || json.Unmarshal(body, &answer) != nil || a.StatusCode == 200 && (answer.Model != "letters" || len(answer.Classes) != 3) {
			t.Fatalf("%v: %s", err, body)
		}
		return a.StatusCode, answer.Version
	}
	if status, _ := predict("guess"); status != 401 {
		t.Errorf("another token: status %d", status)
	}
	status, first := predict("secret")
	if status != 200 {
		t.Errorf("status %d", status)
	}
	writeNet(t, model, 2)
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for begun := time.Now(); ; {
		if _, now := predict("secret"); now != first {
			break
		}
		if time.Since(begun) > 30*time.Second {
			t.Fatal("the new file is never served")
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v\n%s", err, log.String())
	}
	for _, part := range []string{`"msg":"serving","model":"letters"`, `"msg":"request"`, `"status":401`, `"msg":"finishing the requests that were accepted"`} {
		if !strings.Contains(log.String(), part) {
			t.Errorf("the log lacks %s:\n%s", part, log.String())
		}
	}
}
