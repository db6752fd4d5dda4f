package report

import (
	"math"
	"testing"
	"time"
)

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                                      "0s",
		400 * time.Millisecond:                 "0.4s",
		9940 * time.Millisecond:                "9.9s",
		9960 * time.Millisecond:                "10s",
		12 * time.Second:                       "12s",
		59*time.Second + 600*time.Millisecond:  "1m00s",
		3*time.Minute + 5*time.Second:          "3m05s",
		59*time.Minute + 59*time.Second:        "59m59s",
		62 * time.Minute:                       "1h02m",
		time.Hour + 59*time.Minute + 31*1e9:    "2h00m",
		26*time.Hour + 5*time.Minute:           "26h05m",
		-12 * time.Second:                      "-12s",
		time.Duration(math.MinInt64):           "-2562047h47m",
		time.Duration(math.MaxInt64):           "2562047h47m",
		3*time.Minute + 4*time.Second + 999e6:  "3m05s",
		59*time.Minute + 59*time.Second + 7e8:  "1h00m",
		10 * time.Second:                       "10s",
		time.Minute:                            "1m00s",
		time.Hour:                              "1h00m",
		45 * time.Millisecond:                  "45ms",
		time.Duration(1500) * time.Millisecond: "1.5s",
	} {
		if got := Duration(d); got != want {
			t.Errorf("Duration(%d ns) = %q, want %q", int64(d), got, want)
		}
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0", 999: "999", 1000: "1,000", 44878: "44,878", 11178378: "11,178,378",
		-999: "-999", -1000: "-1,000", math.MinInt64: "-9,223,372,036,854,775,808",
	} {
		if got := Count(n); got != want {
			t.Errorf("Count(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 512: "512 B", 1023: "1023 B", 1024: "1.00 KiB", 1536: "1.50 KiB",
		1023 << 10: "1023 KiB", 1<<20 - 1: "1.00 MiB", 46820000: "44.7 MiB", 10 << 30: "10.0 GiB",
		-2048: "-2.00 KiB", math.MaxInt64: "8.00 EiB",
	} {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestSI(t *testing.T) {
	for _, c := range []struct {
		v          float64
		unit, want string
	}{
		{1.23e12, "FLOP/s", "1.23 TFLOP/s"},
		{999.6e9, "FLOP/s", "1.00 TFLOP/s"},
		{213e9, "FLOP/s", "213 GFLOP/s"},
		{0.0027, "s", "2.70 ms"},
		{48e-9, "s", "48.0 ns"},
		{1, "s", "1.00 s"},
		{0, "s", "0 s"},
		{-1500, "m", "-1.50 km"},
		{5e22, "x", "50000 Ex"},
		{math.Inf(1), "s", "+Inf s"},
		{math.NaN(), "s", "NaN s"},
	} {
		if got := SI(c.v, c.unit); got != c.want {
			t.Errorf("SI(%g, %q) = %q, want %q", c.v, c.unit, got, c.want)
		}
	}
}
