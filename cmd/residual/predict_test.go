package main

import (
	"bytes"
	"encoding/json"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data/photo"
	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/prepare"
)

// A photo that lies on its side is turned upright by its EXIF data before it is looked
// at: predict says of it what it says of the same pixels stored upright.
func TestPredictTurnsUpright(t *testing.T) {
	dir := t.TempDir()
	e, err := models.Lookup("cifar-resnet8")
	if err != nil {
		t.Fatal(err)
	}
	m := e.New(models.Config{Classes: 3})
	nn.Init(m, 1, nn.KaimingNormal)
	model := filepath.Join(dir, "net.safetensors")
	about := checkpoint.Model{
		Architecture: "cifar-resnet8", Classes: []string{"a", "b", "c"},
		Input: prepare.Input{Channels: 3, Height: 32, Width: 32, Preprocess: prepare.Steps{ResizeShorter: 36, Mean: []float64{0.4, 0.5, 0.6}, Std: []float64{0.2, 0.2, 0.2}}},
	}
	if err := checkpoint.SaveModel(model, about, nn.StateDict(m)); err != nil {
		t.Fatal(err)
	}
	lying := image.NewRGBA(image.Rect(0, 0, 60, 40))
	for i := range 60 * 40 {
		lying.Set(i%60, i/60, color.RGBA{uint8(4 * (i % 60)), uint8(i / 10), uint8(6 * (i / 60)), 255})
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, lying, nil); err != nil {
		t.Fatal(err)
	}
	content := b.Bytes()
	decoded, _, err := photo.Decode(content, photo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	exif := "\xff\xe1\x00\x22Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00\x00\x00\x00\x00"
	upright := transforms.Orient{Orientation: 6}.Apply(decoded, nil)
	stored := image.NewRGBA(image.Rect(0, 0, upright.Width, upright.Height))
	area := upright.Width * upright.Height
	for i := range area {
		stored.Set(i%upright.Width, i/upright.Width, color.RGBA{upright.Pix[i], upright.Pix[area+i], upright.Pix[2*area+i], 255})
	}
	var want bytes.Buffer
	if err := png.Encode(&want, stored); err != nil {
		t.Fatal(err)
	}
	answers := map[string]prediction{}
	for name, content := range map[string][]byte{
		"turned.jpg": append([]byte(string(content[:2])+exif), content[2:]...), "lying.jpg": content, "upright.png": want.Bytes(),
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o666); err != nil {
			t.Fatal(err)
		}
		status, stdout, stderr := call("predict", model, path, "--json")
		var all []prediction
		if err := json.Unmarshal([]byte(stdout), &all); err != nil || status != 0 || len(all) != 1 {
			t.Fatalf("%s: status %d, %v, %s", name, status, err, stderr)
		}
		answers[name] = all[0]
	}
	if !reflect.DeepEqual(answers["turned.jpg"].Predictions, answers["upright.png"].Predictions) {
		t.Errorf("turned %v, upright %v", answers["turned.jpg"], answers["upright.png"])
	}
	if reflect.DeepEqual(answers["lying.jpg"].Predictions, answers["upright.png"].Predictions) {
		t.Error("the net does not see how an image lies, so this test sees nothing")
	}
}
