package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"mime/multipart"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// queue is residual serve's limit of images.
const queue = 128

// server is a program that answers photos.
type server struct {
	name    string
	command []string
	port    int
	path    string
	request func(photo []byte) (body []byte, kind string)
}

func (s server) url() string { return fmt.Sprintf("http://127.0.0.1:%d%s", s.port, s.path) }

func raw(photo []byte) ([]byte, string) { return photo, "image/jpeg" }

func ours(model string) server {
	return server{"residual serve", []string{*residual, "serve", model, "--addr", "127.0.0.1:18431", "--queue", fmt.Sprint(queue)}, 18431, "/predict", raw}
}

// peers returns the other servers, in the variants of which the best counts.
func peers(folder string) (all []server, err error) {
	if *litserve != "" {
		for i, batch := range []string{"1", "16"} {
			port := 18441 + i
			all = append(all, server{"LitServe, batch " + batch, []string{*litserve, "litserve_resnet.py", "--port", fmt.Sprint(port), "--batch", batch}, port, "/predict", form})
		}
	}
	if *mlserver != "" {
		for i, batch := range []string{"1", "16"} {
			port := 18451 + 10*i
			all = append(all, server{"MLServer, batch " + batch, []string{*mlserver, "mlserver_resnet.py", "--port", fmt.Sprint(port), "--batch", batch}, port, "/v2/models/resnet18/infer", protocol})
		}
	}
	if *ort != "" {
		onnx := filepath.Join(folder, "resnet18.onnx")
		if err := run(*residual, "export", *model, "--onnx", onnx, "--fold"); err != nil {
			return nil, err
		}
		for i, workers := range []string{"1", "2"} {
			port := 18471 + i
			all = append(all, server{"ONNX Runtime and uvicorn, workers " + workers, []string{*ort, "onnxruntime_resnet.py", "--port", fmt.Sprint(port), "--model", onnx, "--workers", workers}, port, "/", raw})
		}
	}
	return all, nil
}

// form is a photo in a form.
func form(photo []byte) ([]byte, string) {
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	w, err := m.CreateFormFile("content", "photo.jpg")
	if err == nil {
		_, err = w.Write(photo)
	}
	if err == nil {
		err = m.Close()
	}
	if err != nil {
		panic(err) // memory does not fail
	}
	return b.Bytes(), m.FormDataContentType()
}

// protocol is a photo as the Open Inference Protocol has it.
func protocol(photo []byte) ([]byte, string) {
	input := map[string]any{"name": "image", "shape": []int{1}, "datatype": "BYTES", "data": []string{base64.StdEncoding.EncodeToString(photo)}}
	b, err := json.Marshal(map[string]any{"inputs": []any{input}})
	if err != nil {
		panic(err)
	}
	return b, "application/json"
}

// process is a server that runs.
type process struct {
	*exec.Cmd
	server
	began time.Time
}

func (s server) start() (*process, error) {
	cmd := exec.Command(s.command[0], s.command[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p := &process{cmd, s, time.Now()}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	return p, nil
}

// firstAnswer asks until the server answers, and returns the time since its start.
func (p *process) firstAnswer(photo []byte) (time.Duration, error) {
	body, kind := p.request(photo)
	for time.Since(p.began) < 2*time.Minute {
		r, err := http.Post(p.url(), kind, bytes.NewReader(body))
		if err == nil {
			_ = r.Body.Close()
			if r.StatusCode == http.StatusOK {
				return time.Since(p.began), nil
			}
		}
		time.Sleep(time.Millisecond)
	}
	return 0, fmt.Errorf("%s does not answer", p.name)
}

// stop ends the server and what it has started.
func (p *process) stop() {
	_ = syscall.Kill(-p.Process.Pid, syscall.SIGTERM)
	ended := time.AfterFunc(10*time.Second, func() { _ = syscall.Kill(-p.Process.Pid, syscall.SIGKILL) })
	_ = p.Wait()
	ended.Stop()
	http.DefaultClient.CloseIdleConnections()
}

// status returns a size of /proc/PID/status in bytes.
func (p *process) status(name string) (size int64) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Process.Pid))
	for line := range strings.Lines(string(text)) {
		if rest, found := strings.CutPrefix(line, name+":"); found {
			_, _ = fmt.Sscan(rest, &size)
		}
	}
	return size << 10
}

// draw makes JPEG files of 500x375 with smooth areas and some texture, about 40 kB each.
func draw(n int) (photos [][]byte, err error) {
	for k := range n {
		img := image.NewRGBA(image.Rect(0, 0, 500, 375))
		state := uint32(k + 1)
		for y := range 375 {
			for x := range 500 {
				state = state*1664525 + 1013904223
				noise := int(state>>28) + (x*(k+3)/7)%23
				img.SetRGBA(x, y, color.RGBA{uint8(noise + x/4 + k), uint8(noise + y/3 + 2*k), uint8(noise + (x+y)/5), 255})
			}
		}
		var b bytes.Buffer
		if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 85}); err != nil {
			return nil, err
		}
		photos = append(photos, b.Bytes())
	}
	return photos, nil
}
