package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/residual-ml/residual/data"
)

// train makes one training of a sweep.
func (s *sweep) train(ctx context.Context, p pair, t trial, k key) (r result, err error) {
	list, n, err := s.list(ctx, p.target, k.per, k.seed)
	if err != nil {
		return r, err
	}
	args := append(strings.Fields(p.model), t.arguments(n, "")...)
	if !t.scratch {
		source, err := s.source(ctx, p)
		if err != nil {
			return r, err
		}
		norms := ""
		if t.norms {
			if norms, err = s.norms(ctx, source); err != nil {
				return r, err
			}
		}
		args = append(strings.Fields(p.model), t.arguments(n, norms)...)
		args = append(args, "--weights", source)
	}
	return s.call(ctx, append(args, "--data", list, "--seed", fmt.Sprint(k.seed), "--out", filepath.Join(s.work, "runs")))
}

// source returns the model file of a pair's source, which is trained once.
func (s *sweep) source(ctx context.Context, p pair) (string, error) {
	dir := filepath.Join(s.work, "source-"+p.name)
	file := filepath.Join(dir, "train-1", "last.safetensors")
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	list, _, err := s.list(ctx, p.source, p.source.train, 0)
	if err != nil {
		return "", err
	}
	args := append(strings.Fields(p.model), strings.Fields(start)...)
	r, err := s.call(ctx, append(append(args, strings.Fields(p.trained)...), "--data", list, "--out", dir))
	if err != nil {
		return "", err
	}
	fmt.Fprintf(os.Stderr, "the source of %s reached %.3f on its own classes\n", p.name, r.Accuracy)
	return file, nil
}

// norms lists the batch norms of a model file, as --freeze takes them.
func (s *sweep) norms(ctx context.Context, model string) (string, error) {
	out, err := s.command(ctx, []string{"summary", model, "--json"})
	if err != nil {
		return "", err
	}
	var about struct {
		Layers []struct{ Layer, Class string }
	}
	if err := json.Unmarshal(out, &about); err != nil {
		return "", err
	}
	var names []string
	for _, l := range about.Layers {
		if strings.HasPrefix(l.Class, "BatchNorm") {
			names = append(names, l.Layer)
		}
	}
	if len(names) == 0 {
		return "", fmt.Errorf("%s has no batch norms", model)
	}
	return strings.Join(names, ","), nil
}

// result is what a training says of itself.
type result struct {
	Accuracy float64 `json:"test_accuracy"` // of the last epoch
	Best     float64 `json:"best_accuracy"`
	Steps    int     `json:"steps"`
	Seconds  float64 `json:"seconds"`
}

// call trains by the program.
func (s *sweep) call(ctx context.Context, args []string) (r result, err error) {
	out, err := s.command(ctx, append([]string{"train", "--json", "--plain", "--no-report"}, args...))
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(out, &r)
}

func (s *sweep) command(ctx context.Context, args []string) ([]byte, error) {
	c := exec.CommandContext(ctx, s.program[0], append(slices.Clone(s.program[1:]), args...)...)
	var said bytes.Buffer
	c.Stderr = &said
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w\n%s", strings.Join(s.program, " "), strings.Join(args, " "), err, said.String())
	}
	return out, nil
}

// list writes a list of images, so many of each class to train on, drawn by the seed, and returns
// its path and the number of images to train on. The images to test on are the same for all seeds.
func (s *sweep) list(ctx context.Context, of images, per, seed int) (path string, n int, err error) {
	train, test, err := s.files(ctx, of)
	if err != nil {
		return "", 0, err
	}
	var b strings.Builder
	b.WriteString("path,label,split\n")
	for _, class := range slices.Sorted(maps.Keys(train)) {
		files := train[class]
		order, err := data.ShuffledSampler{}.Sample(1, uint64(seed), len(files))
		if err != nil {
			return "", 0, err
		}
		if len(files) < per {
			return "", 0, fmt.Errorf("class %s of -%s has %d images to train on, and %d are needed", class, of.folder, len(files), per)
		}
		for _, i := range order[:per] {
			fmt.Fprintf(&b, "%s,%s,train\n", files[i], class)
		}
		for _, f := range test[class] {
			fmt.Fprintf(&b, "%s,%s,test\n", f, class)
		}
		n += per
	}
	path = filepath.Join(s.work, fmt.Sprintf("%s-%d-%d-%d.csv", of.folder, len(of.classes), per, seed))
	if err := os.MkdirAll(s.work, 0o777); err != nil {
		return "", 0, err
	}
	return path, n, os.WriteFile(path, []byte(b.String()), 0o666)
}

// files returns the files of each class. Where the folder has no part to test on, the first images
// of each class are that part.
func (s *sweep) files(ctx context.Context, of images) (train, test map[string][]string, err error) {
	root := s.folders[of.folder]
	if of.folder == "fashion" {
		if root, err = s.fashion(ctx, root); err != nil {
			return nil, nil, err
		}
	}
	if root, err = filepath.Abs(root); err != nil {
		return nil, nil, err
	}
	train, test = map[string][]string{}, map[string][]string{}
	parts := true
	if _, err := os.Stat(filepath.Join(root, "test")); err != nil {
		parts = false
	}
	for _, dir := range map[bool][]string{true: {"train", "test"}, false: {""}}[parts] {
		found, err := filepath.Glob(filepath.Join(root, dir, "*", "*"))
		if err != nil {
			return nil, nil, err
		}
		slices.Sort(found)
		for _, f := range found {
			class := filepath.Base(filepath.Dir(f))
			if of.classes != "" && !slices.Contains(strings.Fields(of.classes), class) {
				continue
			}
			if (dir == "test" || !parts) && len(test[class]) < tested {
				test[class] = append(test[class], f)
			} else if dir != "test" {
				train[class] = append(train[class], f)
			}
		}
	}
	if len(train) == 0 {
		err = errors.New("no images in " + root)
	}
	return train, test, err
}

// fashion writes images of Fashion-MNIST as files, once.
func (s *sweep) fashion(ctx context.Context, dir string) (string, error) {
	root := filepath.Join(s.work, "fashion-images")
	if _, err := os.Stat(filepath.Join(root, "complete")); err == nil {
		return root, nil
	}
	for split, name := range map[data.Split]string{data.Train: "train", data.Test: "test"} {
		ds, err := data.Open(ctx, "fashion-mnist", data.Options{Dir: dir, Split: split, Offline: true})
		if err != nil {
			return "", err
		}
		img := image.NewGray(image.Rect(0, 0, 28, 28))
		for i := range min(ds.Len(), 15_000) {
			class, err := ds.Get(i, img.Pix)
			if err != nil {
				return "", err
			}
			var b bytes.Buffer
			if err := png.Encode(&b, img); err != nil {
				return "", err
			}
			file := filepath.Join(root, name, fmt.Sprint(class), fmt.Sprintf("%05d.png", i))
			if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
				return "", err
			}
			if err := os.WriteFile(file, b.Bytes(), 0o666); err != nil {
				return "", err
			}
		}
	}
	return root, os.WriteFile(filepath.Join(root, "complete"), nil, 0o666)
}
