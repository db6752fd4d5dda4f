package main

import (
	"encoding/json"
	"math"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/measure"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/prepare"
	"github.com/residual-ml/residual/study"
)

// TestNumbersThatAreNotFinite checks the one form of NaN and of the infinities in the JSON of
// every result, with the number in every field that can hold one.
func TestNumbersThatAreNotFinite(t *testing.T) {
	for _, result := range []any{
		&evalResult{}, &trainResult{}, &rehearsal{}, &lrFindResult{}, &prediction{}, &photoCheck{}, &summaryResult{}, &modelRow{}, &doctorResult{},
		&exportResult{}, &importResult{}, &cacheResult{}, &pulled{}, &growthResult{}, &study.ChangedResult{}, &study.DepthResult{}, &study.BlocksResult{},
		&measure.Result{}, &measure.PhotosResult{}, &measure.WeightsResult{}, &measure.Speeds{}, &data.Report{},
	} {
		for _, c := range []struct {
			v    float64
			want any
		}{{math.NaN(), nil}, {math.Inf(1), "+Inf"}, {math.Inf(-1), "-Inf"}} {
			n := fill(reflect.ValueOf(result).Elem(), c.v, 0)
			var b strings.Builder
			if err := printJSON(&b, result); err != nil {
				t.Errorf("%T with %v: %v", result, c.v, err)
				continue
			}
			var got any
			if err := json.Unmarshal([]byte(b.String()), &got); err != nil {
				t.Errorf("%T with %v: %v", result, c.v, err)
			}
			if found := count(got, c.want); found < n {
				t.Errorf("%T with %d times %v has %d times %v:\n%s", result, n, c.v, found, c.want, b.String())
			}
		}
	}
}

// fill sets every number of v that can be v, with one element in every slice, and counts them.
func fill(v reflect.Value, f float64, depth int) (n int) {
	if depth > 12 || !v.CanSet() {
		return 0
	}
	switch v.Kind() {
	case reflect.Float32, reflect.Float64:
		v.SetFloat(f)
		return 1
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return fill(v.Elem(), f, depth+1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		return fill(v.Index(0), f, depth+1)
	case reflect.Array:
		for i := range v.Len() {
			n += fill(v.Index(i), f, depth+1)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if tag := v.Type().Field(i).Tag.Get("json"); tag != "-" {
				n += fill(v.Field(i), f, depth+1)
			}
		}
	}
	return n
}

// count counts the values of JSON that are want.
func count(v, want any) (n int) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			n += count(e, want)
		}
	case map[string]any:
		for _, e := range v {
			n += count(e, want)
		}
	default:
		if v == want {
			return 1
		}
	}
	return n
}

// TestBrokenModelIsShown asks every command that reads a model about one whose weights are NaN.
func TestBrokenModelIsShown(t *testing.T) {
	e, err := models.Lookup("d2l-bnlenet")
	if err != nil {
		t.Fatal(err)
	}
	m := e.New(models.Config{})
	nn.Init(m, 1, nn.XavierUniform)
	state := nn.StateDict(m)
	weights := state[0].Tensor.Data()
	for i := range weights {
		weights[i] = float32(math.NaN())
	}
	ds, err := data.Open(t.Context(), "garments", data.Options{Split: data.Test, Size: 1})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "broken.safetensors")
	about := checkpoint.Model{
		Architecture: "d2l-bnlenet", Classes: ds.Info().Classes, Dataset: "garments", Input: prepare.Input{Channels: 1, Height: 28, Width: 28},
		Metrics: checkpoint.Metrics{"train_loss": math.NaN(), "test_loss": math.Inf(1)},
	}
	if err := checkpoint.SaveModel(path, about, state); err != nil {
		t.Fatal(err)
	}
	paths, _ := images(t, 1)

	status, stdout, stderr := call("eval", path, "--json", "--no-report")
	var eval map[string]any
	if err := json.Unmarshal([]byte(stdout), &eval); err != nil || status != 0 {
		t.Fatalf("eval: status %d, %v, %s", status, err, stderr)
	}
	if loss, there := eval["loss"]; !there || loss != nil {
		t.Errorf("eval's loss is %v", loss)
	}
	for _, format := range []string{"json", "jsonl"} {
		status, stdout, stderr := call("predict", path, "--format", format, paths[0])
		if status != 1 || !json.Valid([]byte(stdout)) || !strings.Contains(stdout, "is not finite") {
			t.Errorf("predict --format %s: status %d, %s, %s", format, status, stdout, stderr)
		}
	}
	if status, stdout, stderr := call("summary", path, "--json"); status != 0 || !json.Valid([]byte(stdout)) {
		t.Errorf("summary: status %d, %s, %s", status, stdout, stderr)
	}
}
