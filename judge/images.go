package judge

import (
	"context"
	"fmt"
	"image"
	"image/color"

	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/report"
	"github.com/residual-ml/residual/report/page"
	"github.com/residual-ml/residual/tensor"
)

const (
	camBatch     = 8   // images that are explained at once
	largestShown = 256 // pixels per side of an image in the report
	minHeat      = 112 // pixels a side of a heat map, so that a small one is smooth
)

// mistakes reads the images of the most confident mistakes as the model sees them, each with
// its heat map. If there are no heat maps, note says why.
func (j *Judgement) mistakes(ctx context.Context) (out []page.Mistake, note string, err error) {
	seen := j.model.Images(j.data)
	info := seen.Info()
	for first := 0; first < len(j.Mistakes); first += camBatch {
		if err := ctx.Err(); err != nil {
			return nil, "", err
		}
		some := j.Mistakes[first:min(first+camBatch, len(j.Mistakes))]
		batch := tensor.New(len(some), info.Channels, info.Height, info.Width)
		images, said := make([]image.Image, len(some)), make([]int, len(some))
		for i, a := range some {
			m := transforms.NewImage(info.Channels, info.Height, info.Width)
			if _, err := seen.Get(a.Index, m.Pix); err != nil {
				return nil, "", fmt.Errorf("data set %s, %s: %w", info.Name, j.name(a.Index), err)
			}
			for k, v := range m.Pix {
				batch.Data()[i*len(m.Pix)+k] = float32(v) / 255
			}
			images[i], said[i] = shown(m), a.Class
		}
		var cams []inference.CAM
		if note == "" {
			j.model.Scale(batch)
			if cams, err = j.model.GradCAMs(batch, said); err != nil {
				note = fmt.Sprintf("There are no heat maps: %v.", err)
			}
		}
		for i, a := range some {
			m := page.Mistake{
				Image: images[i], Name: j.name(a.Index),
				True: j.Classes[a.Label], Predicted: j.Classes[a.Class], Probability: a.Probability, Own: a.Own,
			}
			if cams != nil {
				m.Heat = Heat(images[i], images[i].Bounds(), cams[i])
			}
			out = append(out, m)
		}
	}
	return out, note, nil
}

// Predictions shows the Sample as the model sees it, with the class that it predicts for each
// image, and in red with the true class where that is another. ok is false for a model that
// answers with something else than classes.
func (j *Judgement) Predictions() (m report.Mosaic, ok bool, err error) {
	if !j.ofClasses() || len(j.Sample) == 0 {
		return m, false, nil
	}
	seen := j.model.Images(j.data)
	info := seen.Info()
	right := 0
	for _, a := range j.Sample {
		pixels := transforms.NewImage(info.Channels, info.Height, info.Width)
		if _, err := seen.Get(a.Index, pixels.Pix); err != nil {
			return m, false, fmt.Errorf("data set %s, %s: %w", info.Name, j.name(a.Index), err)
		}
		t := report.Tile{Image: shown(pixels), Text: fmt.Sprintf("%s %.0f%%", j.Classes[a.Class], 100*a.Probability), Wrong: a.Class != a.Label}
		if t.Wrong {
			t.Text += ", is " + j.Classes[a.Label]
		} else {
			right++
		}
		m.Tiles = append(m.Tiles, t)
	}
	m.Title = fmt.Sprintf("predictions for %d images of %s: %d right", len(m.Tiles), info.Name, right)
	return m, true, nil
}

// Heat lays a class activation map over the part of an image that the model saw. An
// image of few pixels is enlarged, so that the map is smooth over it.
func Heat(img image.Image, seen image.Rectangle, c inference.CAM) image.Image {
	b := img.Bounds()
	if times := (minHeat + max(b.Dx(), b.Dy()) - 1) / max(b.Dx(), b.Dy(), 1); times > 1 {
		seen = image.Rectangle{Min: seen.Min.Sub(b.Min).Mul(times), Max: seen.Max.Sub(b.Min).Mul(times)}
		img = enlarged{img, times}
	}
	return report.Heatmap{Height: c.Height, Width: c.Width, Values: c.Values}.Over(img, seen)
}

// enlarged shows every pixel of an image as a square of times by times pixels.
type enlarged struct {
	image.Image
	times int
}

func (e enlarged) Bounds() image.Rectangle {
	size := e.Image.Bounds().Size().Mul(e.times)
	return image.Rectangle{Max: size}
}

func (e enlarged) At(x, y int) color.Color {
	b := e.Image.Bounds().Min
	return e.Image.At(b.X+x/e.times, b.Y+y/e.times)
}

// shown converts an image of the data set for display.
func shown(m transforms.Image) image.Image {
	m = Within(m, largestShown)
	if m.Channels != 3 {
		m = transforms.Image{Channels: 1, Height: m.Height, Width: m.Width, Pix: m.Pix[:m.Height*m.Width]}
	}
	return transforms.ToImage(m)
}

// Within shrinks an image whose longer side has more pixels than most.
func Within(m transforms.Image, most int) transforms.Image {
	if long := max(m.Height, m.Width); long > most {
		h, w := max(1, m.Height*most/long), max(1, m.Width*most/long)
		m = transforms.Resize{Height: h, Width: w}.Apply(m, nil)
	}
	return m
}
