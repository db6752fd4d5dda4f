package report

import (
	"math"
	"strconv"
	"time"
)

// Duration formats d for people: "1h02m", "3m05s", "12s", below ten
// seconds "4.2s", below a tenth of a second "45ms".
func Duration(d time.Duration) string {
	if d < 0 {
		if d == math.MinInt64 {
			d++
		}
		return "-" + Duration(-d)
	}
	if d == 0 {
		return "0s"
	}
	if d < 100*time.Millisecond {
		return strconv.FormatInt(d.Round(time.Millisecond).Milliseconds(), 10) + "ms"
	}
	if t := d.Round(100 * time.Millisecond); t < 10*time.Second {
		return strconv.FormatFloat(t.Seconds(), 'f', 1, 64) + "s"
	}
	s := int64(d.Round(time.Second) / time.Second)
	switch {
	case s < 60:
		return strconv.FormatInt(s, 10) + "s"
	case s < 3600:
		return strconv.FormatInt(s/60, 10) + "m" + twoDigits(s%60) + "s"
	}
	m := int64(d.Round(time.Minute) / time.Minute)
	return strconv.FormatInt(m/60, 10) + "h" + twoDigits(m%60) + "m"
}

func twoDigits(n int64) string {
	if n < 10 {
		return "0" + strconv.FormatInt(n, 10)
	}
	return strconv.FormatInt(n, 10)
}

// Count formats n with a comma at every thousand: 11,178,378.
func Count(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// Bytes formats a size in binary units with three digits: "512 B", "44.7 MiB".
func Bytes(n int64) string {
	v, unit := float64(n), 0
	units := [...]string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	for unit < len(units)-1 && math.Abs(v) >= 1023.5 {
		v /= 1024
		unit++
	}
	if unit == 0 {
		return strconv.FormatInt(n, 10) + " B"
	}
	return threeDigits(v) + " " + units[unit]
}

// SI formats v with three digits and the decimal prefix that suits it:
// SI(1.23e12, "FLOP/s") is "1.23 TFLOP/s". Zero, NaN and infinite values carry
// no prefix.
func SI(v float64, unit string) string {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return strconv.FormatFloat(v, 'g', 3, 64) + " " + unit
	}
	prefixes := [...]string{"n", "µ", "m", "", "k", "M", "G", "T", "P", "E"}
	at := 3
	for at < len(prefixes)-1 && math.Abs(v) >= 999.5 {
		v /= 1000
		at++
	}
	for at > 0 && math.Abs(v) < 0.9995 {
		v *= 1000
		at--
	}
	return threeDigits(v) + " " + prefixes[at] + unit
}

// threeDigits formats v with three significant digits; the caller has scaled
// its magnitude to about [1, 1000).
func threeDigits(v float64) string {
	switch a := math.Abs(v); {
	case a < 9.995:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case a < 99.95:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 0, 64)
}

// rate formats images/s: an integer from ten upwards, one decimal below.
func rate(v float64) string {
	if math.Abs(v) < 9.95 {
		return strconv.FormatFloat(v, 'f', 1, 64) + " images/s"
	}
	if math.Abs(v) < 1e15 {
		return Count(int64(math.Round(v))) + " images/s"
	}
	return strconv.FormatFloat(v, 'g', 3, 64) + " images/s"
}

// score formats a loss or an accuracy with three decimals, and the large losses
// of a diverging run in few characters.
func score(v float64) string {
	if math.Abs(v) >= 1e5 {
		return strconv.FormatFloat(v, 'g', 4, 64)
	}
	return strconv.FormatFloat(v, 'f', 3, 64)
}
