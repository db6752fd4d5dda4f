package main

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"
)

// keysOf lists the keys of a JSON text, those within others with a dot.
func keysOf(v any, prefix string, into map[string]bool) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			keysOf(e, prefix, into)
		}
	case map[string]any:
		for k, e := range v {
			into[prefix+k] = true
			keysOf(e, prefix+k+".", into)
		}
	}
}

// TestJSONKeys holds the keys that programs rely on. Adding one is fine; a name
// here must not change.
func TestJSONKeys(t *testing.T) {
	for _, c := range []struct{ line, keys string }{
		{"version --json", "version go os arch"},
		{"models --json", "name family kind description parameters channels height width fixed_size classes blocks source resize interpolation mean std"},
		{"summary d2l-bnlenet --json", "model input layers parameters buffers multiply_adds layers.layer layers.class layers.depth layers.output layers.parameters layers.multiply_adds"},
		{"data list --json", "name about needs"},
		{"data fetch garments --json", "name folder"},
		{"data check garments --json", "name ok files files.file files.split files.kind files.count files.digest_ok files.histogram files.pixel_mean files.pixel_std"},
		{"doctor --json --data-dir testdata", "version go os arch cpu features features.name features.has kernels kernels_available cores threads memory_bytes precision paths paths.op paths.fp32 paths.bf16 devices gpu data data.name data.ok data.problem"},
		{"bench --model d2l-bnlenet --batch 2 --repeat 1 --warmup 0 --profile --json", "model mode batch channels height width device threads kernels precision feed repeat warmup " +
			"steps_per_repeat images_per_second images_per_second_min images_per_second_max spread measurements step_milliseconds gflop_per_image gflop_per_second " +
			"peak_gflop_per_second peak_gflop_per_second_before peak_gflop_per_second_after fraction_of_peak planned_bytes arena_bytes own_bytes scratch_bytes variable_bytes " +
			"peak_rss_bytes allocations_per_step gflop_per_step bytes_per_step profile profile.kind profile.steps profile.milliseconds profile.share profile.bytes"},
	} {
		status, stdout, stderr := call(strings.Fields(c.line)...)
		var v any
		if err := json.Unmarshal([]byte(stdout), &v); err != nil || status != 0 {
			t.Errorf("%s: status %d, %v, stderr %q", c.line, status, err, stderr)
			continue
		}
		keys := map[string]bool{}
		keysOf(v, "", keys)
		for _, k := range strings.Fields(c.keys) {
			if !keys[k] {
				t.Errorf("%s: no key %s", c.line, k)
			}
		}
		for k := range keys {
			if !regexp.MustCompile(`^[a-z0-9_.]+$`).MatchString(k) {
				t.Errorf("%s: the key %s is not in lower snake case", c.line, k)
			}
		}
	}
}

func TestInterruptedBenchSaysSo(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	stop()
	var out, errs strings.Builder
	status := run(ctx, strings.Fields("bench --model d2l-bnlenet --batch 2"), &out, &errs)
	if status != 1 || out.Len() > 0 || !strings.HasPrefix(errs.String(), "residual: interrupted") {
		t.Errorf("status %d, stdout %q, stderr %q", status, out.String(), errs.String())
	}
}

// full is a writer that fails, as a full disk does.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestFullDiskIsNoSuccess(t *testing.T) {
	for _, line := range []string{"models", "models --json", "version", "bench --help"} {
		var errs strings.Builder
		if status := run(context.Background(), strings.Fields(line), full{}, &errs); status != 1 || errs.String() != "residual: standard output: no space left\n" {
			t.Errorf("%s: status %d, stderr %q", line, status, errs.String())
		}
	}
}
