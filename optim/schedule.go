package optim

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Schedule gives the learning rate of every step. step counts from 1, and total is the number of
// steps of the whole training. Steps after total have the rate of the last one.
type Schedule interface {
	LR(step, total int) float32
}

// ScheduleFunc is a function as a Schedule.
type ScheduleFunc func(step, total int) float32

// LR calls f.
func (f ScheduleFunc) LR(step, total int) float32 { return f(step, total) }

// Constant is the same rate for all steps.
type Constant struct{ Base float32 }

// LR returns Base.
func (c Constant) LR(step, total int) float32 { return c.Base }

// Cosine falls from Base to Min along half a cosine, as in
// https://pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.CosineAnnealingLR.html
// (Loshchilov and Hutter, https://arxiv.org/abs/1608.03983, equation 5, without restarts). Over
// n steps, the rate of step s is
//
//	Min + (Base-Min) * (1 + cos(pi*(s-1)/n)) / 2
//
// With Warmup, a fraction of the training from 0 to below 1, the rate first rises linearly to
// Base during that fraction, and the cosine follows in the remaining steps.
type Cosine struct {
	Base, Min float32
	Warmup    float64
}

// LR implements Schedule.
func (c Cosine) LR(step, total int) float32 {
	step = min(max(step, 1), max(total, 1))
	warm := int(c.Warmup * float64(total))
	if step <= warm {
		return float32(float64(c.Base) * float64(step) / float64(warm+1))
	}
	phase := math.Pi * float64(step-1-warm) / float64(max(total-warm, 1))
	half := float64(c.Base-c.Min) / 2
	return float32(float64(c.Min) + float64(half*(1+math.Cos(phase))))
}

// StepLR multiplies the rate by Gamma after each of the fractions At of the training. The zero
// values are those of He et al. for CIFAR-10 (https://arxiv.org/abs/1512.03385, section 4.2):
// a tenth after 1/2 and 3/4 of the steps (32k and 48k of 64k).
type StepLR struct {
	Base  float32
	Gamma float32   // 0 means 0.1
	At    []float64 // fractions between 0 and 1; nil means 1/2 and 3/4
}

// LR implements Schedule.
func (s StepLR) LR(step, total int) float32 {
	gamma, at := s.Gamma, s.At
	if gamma == 0 {
		gamma = 0.1
	}
	if at == nil {
		at = []float64{0.5, 0.75}
	}
	lr := s.Base
	for _, share := range at {
		if float64(step) > share*float64(total) {
			lr *= gamma
		}
	}
	return lr
}

// ScheduleNames lists the schedules that ParseSchedule knows.
func ScheduleNames() []string { return []string{"constant", "cosine", "step", "onecycle"} }

// ParseSchedule reads a schedule in the form of the command line: a name, followed by settings
// in the form key=value, all separated by commas:
//
//	constant
//	cosine,warmup=0.05,min=0.0001
//	step,gamma=0.1,at=0.5,at=0.75
//	onecycle,warmup=0.3,div=25,finaldiv=10000,linear=0
//
// warmup and at are fractions of the whole training. base is the highest rate.
func ParseSchedule(text string, base float32) (Schedule, error) {
	if !(base > 0) || math.IsInf(float64(base), 1) {
		return nil, fmt.Errorf("learning rate %v: must be a number above 0, such as 0.05", base)
	}
	fields := strings.Split(text, ",")
	name := strings.TrimSpace(fields[0])
	keys, ok := map[string][]string{"constant": nil, "cosine": {"min", "warmup"}, "step": {"gamma", "at"}, "onecycle": {"warmup", "div", "finaldiv", "linear"}}[name]
	if !ok {
		return nil, fmt.Errorf("schedule %q is not known; choose one of: %s", name, strings.Join(ScheduleNames(), ", "))
	}
	values, err := parseSettings(name, fields[1:], keys)
	if err != nil {
		return nil, err
	}
	switch name {
	case "cosine":
		c := Cosine{Base: base, Min: float32(first(values["min"])), Warmup: first(values["warmup"])}
		if c.Min > base {
			return nil, fmt.Errorf("schedule cosine: min %v is above the learning rate %v", c.Min, base)
		}
		return c, nil
	case "step":
		return StepLR{Base: base, Gamma: float32(first(values["gamma"])), At: values["at"]}, nil
	case "onecycle":
		if w := values["warmup"]; len(w) > 0 && w[0] == 0 {
			return nil, fmt.Errorf("schedule onecycle: warmup=0 must be above 0; without a warm-up use cosine")
		}
		return OneCycle{Base: base, Warmup: first(values["warmup"]), Div: first(values["div"]), FinalDiv: first(values["finaldiv"]),
			Linear: first(values["linear"]) == 1}, nil
	}
	return Constant{Base: base}, nil
}

func first(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	return values[0]
}

// ranges holds the valid values of every setting: from low, which is itself valid only for some
// settings, to below high.
var ranges = map[string]struct {
	low, high float64
	open      bool
	words     string
}{
	"min":      {0, math.MaxFloat32, false, "a number of at least 0"},
	"warmup":   {0, 1, false, "a share of the training from 0 to below 1"},
	"gamma":    {0, math.MaxFloat32, true, "a number above 0"},
	"at":       {0, 1, true, "a share of the training between 0 and 1"},
	"div":      {1, math.MaxFloat32, false, "a number of at least 1"},
	"finaldiv": {1, math.MaxFloat32, false, "a number of at least 1"},
	"linear":   {0, 2, false, "0 or 1"},
}

func parseSettings(name string, fields, keys []string) (map[string][]float64, error) {
	values := map[string][]float64{}
	for _, f := range fields {
		key, number, _ := strings.Cut(f, "=")
		key = strings.TrimSpace(key)
		if !slices.Contains(keys, key) {
			known := "it takes none"
			if len(keys) > 0 {
				known = "it takes " + strings.Join(keys, "=, ") + "="
			}
			return nil, fmt.Errorf("schedule %s has no setting %q; %s", name, key, known)
		}
		if len(values[key]) > 0 && key != "at" {
			return nil, fmt.Errorf("schedule %s: %s is given twice", name, key)
		}
		r := ranges[key]
		v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || !(v >= r.low && v < r.high) || r.open && v == r.low || key == "linear" && v != 0 && v != 1 {
			return nil, fmt.Errorf("schedule %s: %s=%s must be %s", name, key, number, r.words)
		}
		values[key] = append(values[key], v)
	}
	return values, nil
}
