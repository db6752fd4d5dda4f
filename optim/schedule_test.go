package optim

import (
	"math"
	"strings"
	"testing"
)

func TestSchedulesAgainstPyTorch(t *testing.T) {
	f := trace(t)
	if len(f.Rates) != 10 || len(f.Hundred) != 7 {
		t.Fatalf("%d schedules, %d of 100 steps", len(f.Rates), len(f.Hundred))
	}
	for _, rates := range []map[string][]float32{f.Rates, f.Hundred} {
		againstPyTorch(t, rates)
	}
}

func againstPyTorch(t *testing.T, rates map[string][]float32) {
	for text, want := range rates {
		s, err := ParseSchedule(text, 0.05)
		if err != nil {
			t.Fatal(err)
		}
		for i, w := range want {
			if got := s.LR(i+1, len(want)); math.Abs(float64(got-w)) > 1e-8 {
				t.Errorf("%s: step %d of %d: %v, PyTorch %v", text, i+1, len(want), got, w)
			}
		}
	}
}

func TestWarmup(t *testing.T) {
	s, err := ParseSchedule(" cosine , warmup=0.4, min=0.2", 1)
	if err != nil {
		t.Fatal(err)
	}
	// Four of ten steps rise by fifths, six fall: cos 0, 30, ... 150 degrees.
	want := []float64{0.2, 0.4, 0.6, 0.8}
	for i := range 6 {
		want = append(want, 0.6+0.4*math.Cos(float64(i)*math.Pi/6))
	}
	for i, w := range want {
		if got := s.LR(i+1, 10); math.Abs(float64(got)-w) > 1e-6 {
			t.Errorf("step %d: %v, want %v", i+1, got, w)
		}
	}
}

// The rate is valid after the last step, for an empty training and for a single step.
func TestScheduleEdges(t *testing.T) {
	for _, text := range []string{"constant", "cosine", "cosine,warmup=0.99,min=0.1", "step", "step,gamma=2,at=0.9", "onecycle", "onecycle,linear=1,warmup=0.9"} {
		s, err := ParseSchedule(text, 0.5)
		if err != nil {
			t.Fatal(err)
		}
		if s.LR(10, 10) != s.LR(11, 10) || s.LR(10, 10) != s.LR(1000, 10) {
			t.Errorf("%s: steps past the end have another rate than the last", text)
		}
		for _, at := range [][2]int{{1, 0}, {0, 0}, {1, 1}, {5, 1}, {0, 10}, {1, 1 << 30}, {1 << 30, 1 << 30}} {
			if lr := s.LR(at[0], at[1]); !(lr > 0 && lr <= 1) && !(text == "cosine" && lr >= 0) {
				t.Errorf("%s: step %d of %d: %v", text, at[0], at[1], lr)
			}
		}
	}
	if lr := (Cosine{Base: 0.5}).LR(1, 1); lr != 0.5 {
		t.Errorf("the only step has rate %v", lr)
	}
}

func TestParseScheduleRefuses(t *testing.T) {
	for _, c := range []struct {
		text string
		base float32
		want string
	}{
		{"", 1, "choose one of: constant, cosine, step, onecycle"},
		{"linear", 1, `schedule "linear" is not known`},
		{"constant", 0, "learning rate 0: must be"},
		{"constant", float32(math.NaN()), "learning rate NaN: must be"},
		{"constant", float32(math.Inf(1)), "learning rate +Inf: must be"},
		{"constant,min=1", 1, `no setting "min"; it takes none`},
		{"cosine,gamma=1", 1, `no setting "gamma"; it takes min=, warmup=`},
		{"cosine,", 1, `no setting ""`},
		{"cosine,warmup", 1, "warmup= must be a share"},
		{"cosine,warmup=1", 1, "warmup=1 must be a share"},
		{"cosine,warmup=NaN", 1, "warmup=NaN must be a share"},
		{"cosine,warmup=0.1,warmup=0.2", 1, "warmup is given twice"},
		{"cosine,min=0.5", 0.1, "min 0.5 is above the learning rate 0.1"},
		{"cosine,min=-1", 1, "min=-1 must be"},
		{"step,at=0", 1, "at=0 must be a share"},
		{"step,at=1", 1, "at=1 must be a share"},
		{"step,gamma=0", 1, "gamma=0 must be a number above 0"},
		{"step,gamma=x", 1, "gamma=x must be"},
		{"onecycle,warmup=0", 1, "warmup=0 must be above 0"},
		{"onecycle,linear=0.5", 1, "linear=0.5 must be 0 or 1"},
		{"onecycle,div=0.5", 1, "div=0.5 must be a number of at least 1"},
		{"onecycle,min=0", 1, `no setting "min"`},
	} {
		if s, err := ParseSchedule(c.text, c.base); err == nil || s != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q, %v: want %q, got %v, %v", c.text, c.base, c.want, s, err)
		}
	}
	for _, name := range ScheduleNames() {
		if _, err := ParseSchedule(name, 0.05); err != nil {
			t.Error(err)
		}
	}
}
