package serve

import (
	"bytes"
	"context"
	"encoding/binary"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/residual-ml/residual/internal/number"
	"github.com/residual-ml/residual/tensor"
)

// tensorAnswer is an output in the answer of POST infer.
type tensorAnswer struct {
	Name       string     `json:"name"`
	Datatype   string     `json:"datatype"`
	Shape      []int      `json:"shape"`
	Parameters parameters `json:"parameters,omitempty"`
	Data       any        `json:"data,omitempty"`

	binary []byte
}

type inferAnswer struct {
	Model   string         `json:"model_name"`
	Version string         `json:"model_version"`
	ID      string         `json:"id,omitempty"`
	Outputs []tensorAnswer `json:"outputs"`
}

// infer answers POST infer: images as a tensor or as encoded files in, tensors out.
func (s *core) infer(w http.ResponseWriter, r *http.Request) (err error) {
	begun := time.Now()
	m, g, leave, err := s.asked(r)
	if err != nil {
		return err
	}
	defer leave()
	defer func() {
		if err != nil {
			s.meter.stats.failed(m.Name, time.Since(begun))
		}
	}()
	content, release, err := s.read(w, r)
	if err != nil {
		return err
	}
	defer release()
	q, err := readInferRequest(r.Header, content)
	if err != nil {
		return err
	}
	wanted, err := g.wanted(q)
	if err != nil {
		return err
	}
	ctx, stop, err := s.inferDeadline(r, q)
	if err != nil {
		return err
	}
	defer stop()
	done, err := s.inferred(ctx, m, g, q.Inputs[0])
	if err != nil {
		return err
	}
	a := inferAnswer{Model: m.Name, Version: g.version, ID: q.ID}
	for _, out := range wanted {
		t, err := g.tensor(out, done)
		if err != nil {
			return err
		}
		a.Outputs = append(a.Outputs, t)
	}
	return a.write(w)
}

// inferDeadline is deadline, with Triton's parameter timeout in microseconds.
func (s *core) inferDeadline(r *http.Request, q *inferRequest) (context.Context, context.CancelFunc, error) {
	ctx, stop, err := s.deadline(r)
	if err != nil {
		return nil, nil, err
	}
	us, given, err := q.Parameters.whole("timeout")
	if err != nil {
		stop()
		return nil, nil, err
	}
	if !given || us <= 0 {
		return ctx, stop, nil
	}
	shorter, end := context.WithTimeout(ctx, time.Duration(min(us, int64(time.Hour/time.Microsecond)))*time.Microsecond)
	return shorter, func() { end(); stop() }, nil
}

// inferred computes the images of an input.
func (s *core) inferred(ctx context.Context, m *served, g *generation, in inferInput) ([]computed, error) {
	if in.Datatype == "BYTES" {
		files, err := in.files(s.options.MaxImages)
		if err != nil {
			return nil, err
		}
		done, err := s.compute(ctx, m, g, files)
		for i, d := range done {
			if err == nil && d.err != nil {
				image := *explained(d.err)
				if len(done) > 1 {
					image.Message = "image " + strconv.Itoa(i) + ": " + image.Message
				}
				err = &image
			}
		}
		return done, err
	}
	images, err := g.images(in, s.options.MaxImages, s.options.MaxPixels)
	if err != nil {
		return nil, err
	}
	done := make([]computed, len(images))
	return done, s.inLine(len(images), func() error {
		out, err := g.Infer(ctx, images...)
		for i := range out {
			done[i].Output = out[i]
			s.meter.computed(m.Name, 0, out[i])
		}
		return err
	})
}

// wanted returns the outputs that a request asks for, all of them if it names none.
func (g *generation) wanted(q *inferRequest) ([]inferOutput, error) {
	binary, _, err := q.Parameters.truth("binary_data_output")
	if err != nil {
		return nil, err
	}
	all := q.Outputs
	if len(all) == 0 {
		for _, t := range g.outputs() {
			all = append(all, inferOutput{Name: t.Name})
		}
	}
	for i, out := range all {
		known := false
		for _, t := range g.outputs() {
			known = known || t.Name == out.Name
		}
		if !known {
			return nil, failure(http.StatusBadRequest, "the model has no output %.100q; its metadata lists them", out.Name)
		}
		if _, shared := out.Parameters["shared_memory_region"]; shared {
			return nil, failure(http.StatusBadRequest, "output %s: the server does not support shared memory", out.Name)
		}
		if _, given, err := out.Parameters.truth("binary_data"); err != nil {
			return nil, err
		} else if !given && binary {
			all[i].Parameters = parameters{"binary_data": true}
			for name, v := range out.Parameters {
				all[i].Parameters[name] = v
			}
		}
	}
	return all, nil
}

// tensor returns an output of the images that were computed.
func (g *generation) tensor(out inferOutput, done []computed) (t tensorAnswer, err error) {
	t = tensorAnswer{Name: out.Name, Datatype: "FP32", Shape: append([]int{len(done)}, done[0].Shape...)}
	var all []float32
	for _, d := range done {
		values := d.Logits
		switch out.Name {
		case probabilityName:
			values = nil
			for _, p := range g.Probabilities(d.Logits) {
				values = append(values, float32(p))
			}
		case valuesName:
			found, err := g.Estimate(d.Logits)
			if err != nil {
				return t, err
			}
			values, t.Shape = nil, []int{len(done), len(found)}
			for _, v := range found {
				values = append(values, float32(v.Value))
			}
		}
		all = append(all, values...)
	}
	binary, _, _ := out.Parameters.truth("binary_data") // wanted has checked it
	k, given, err := out.Parameters.whole("classification")
	if err != nil {
		return t, err
	}
	if given && k > 0 {
		if len(t.Shape) != 2 {
			return t, failure(http.StatusBadRequest, "output %s: classification needs an output of classes", out.Name)
		}
		return g.classified(t, all, int(min(k, int64(t.Shape[1]))), binary), nil
	}
	if binary {
		t.binary = floatBytes(all)
		t.Parameters = parameters{"binary_data_size": len(t.binary)}
		return t, nil
	}
	t.Data = all
	return t, nil
}

// write writes the answer, with binary tensors behind the JSON.
func (a inferAnswer) write(w http.ResponseWriter) error {
	var head bytes.Buffer
	if err := number.Write(&head, a, ""); err != nil {
		return err
	}
	text := bytes.TrimRight(head.Bytes(), "\n")
	length := len(text)
	binary := false
	for _, t := range a.Outputs {
		binary = binary || t.binary != nil
	}
	for _, t := range a.Outputs {
		text = append(text, t.binary...)
	}
	w.Header().Set("Content-Type", "application/json")
	if binary {
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Inference-Header-Content-Length", strconv.Itoa(length))
	}
	send(w, http.StatusOK, text)
	return nil
}

// images returns the tensor of an input as one tensor for every image.
func (g *generation) images(in inferInput, mostImages int, mostPixels int64) ([]*tensor.Tensor, error) {
	bad := func(format string, args ...any) error {
		return failure(http.StatusBadRequest, "input "+inputName+": "+format, args...)
	}
	want := g.input().Shape
	if len(in.Shape) != 4 {
		return nil, bad("the shape %v is not [N, channels, height, width]: %v", in.Shape, want)
	}
	for i, n := range in.Shape {
		if n < 1 || n > 1<<31 || i > 0 && want[i] >= 0 && int64(want[i]) != n {
			return nil, bad("the shape %v is not one of %v, where -1 is any", in.Shape, want)
		}
	}
	if in.Shape[0] > int64(mostImages) {
		return nil, failure(http.StatusRequestEntityTooLarge, "input %s: %d images are more than %d", inputName, in.Shape[0], mostImages)
	}
	if in.Shape[2]*in.Shape[3] > mostPixels {
		return nil, failure(http.StatusRequestEntityTooLarge, "input %s: an image of %dx%d has more than %d pixels", inputName, in.Shape[3], in.Shape[2], mostPixels)
	}
	n, each := int(in.Shape[0]), int(in.Shape[1]*in.Shape[2]*in.Shape[3])
	values, err := in.floats(n * each)
	if err != nil {
		return nil, err
	}
	all := make([]*tensor.Tensor, n)
	for i := range all {
		all[i] = tensor.FromSlice(values[i*each:][:each], 1, int(in.Shape[1]), int(in.Shape[2]), int(in.Shape[3]))
	}
	return all, nil
}

// classified returns the k largest numbers of every image as Triton writes them:
// "number:index:name".
func (g *generation) classified(t tensorAnswer, all []float32, k int, inline bool) tensorAnswer {
	names := g.Info().Names()
	width := t.Shape[1]
	var texts []string
	for row := range slices.Chunk(all, width) {
		order := make([]int, width)
		for i := range order {
			order[i] = i
		}
		slices.SortStableFunc(order, func(a, b int) int {
			switch {
			case row[a] > row[b]:
				return -1
			case row[a] < row[b]:
				return 1
			}
			return 0
		})
		for _, i := range order[:k] {
			text := strconv.FormatFloat(float64(row[i]), 'f', 6, 32) + ":" + strconv.Itoa(i)
			if i < len(names) {
				text += ":" + names[i]
			}
			texts = append(texts, text)
		}
	}
	t.Datatype, t.Shape = "BYTES", []int{t.Shape[0], k}
	if !inline {
		t.Data = texts
		return t
	}
	t.binary = []byte{}
	for _, text := range texts {
		t.binary = binary.LittleEndian.AppendUint32(t.binary, uint32(len(text)))
		t.binary = append(t.binary, text...)
	}
	t.Parameters = parameters{"binary_data_size": len(t.binary)}
	return t
}

func floatBytes(values []float32) []byte {
	b := make([]byte, 0, 4*len(values))
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}
