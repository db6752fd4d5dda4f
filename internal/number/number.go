// Package number has the one form of numbers in this module's JSON, whatever their value:
// JSON has no NaN and no infinities, and encoding/json refuses them.
//
//   - NaN is null, as of what was not measured or is a share of nothing.
//   - The infinities are the strings "+Inf" and "-Inf".
//
// Marshal and Write encode like encoding/json, with this form in every field, element and
// entry. Float is for what is read back. Reading also takes the string "NaN", which earlier
// versions wrote.
package number

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// Float is a float64 that is NaN, +Inf or -Inf in JSON where it has to be. A null read into
// it is NaN; a field that the JSON lacks keeps its value.
type Float float64

// MarshalJSON implements json.Marshaler.
func (f Float) MarshalJSON() ([]byte, error) {
	if text, ok := word(float64(f)); ok {
		return []byte(text), nil
	}
	return json.Marshal(float64(f))
}

// UnmarshalJSON implements json.Unmarshaler.
func (f *Float) UnmarshalJSON(text []byte) error {
	v, err := Parse(text)
	if err == nil {
		*f = Float(v)
	}
	return err
}

// Parse reads a number from its JSON.
func Parse(text []byte) (float64, error) {
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		return 0, err
	}
	switch v := v.(type) {
	case nil:
		return math.NaN(), nil
	case float64:
		return v, nil
	case string:
		switch v {
		case "NaN":
			return math.NaN(), nil
		case "+Inf", "Inf":
			return math.Inf(1), nil
		case "-Inf":
			return math.Inf(-1), nil
		}
	}
	return 0, fmt.Errorf("%s is not a number", text)
}

// Append appends the JSON of v to b. A finite number is written with the fewest digits that
// distinguish it from the others of so many bits, 32 or 64.
func Append(b []byte, v float64, bits int) []byte {
	if text, ok := word(v); ok {
		return append(b, text...)
	}
	return strconv.AppendFloat(b, v, 'g', -1, bits)
}

// Finite reports whether v is neither NaN nor infinite.
func Finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// Known returns v for a field that is left out, or null, where v is not finite: nil then.
func Known(v float64) *Float {
	if !Finite(v) {
		return nil
	}
	return (*Float)(&v)
}

// word is the JSON of a number that is not finite.
func word(v float64) (text string, ok bool) {
	switch {
	case math.IsNaN(v):
		return "null", true
	case math.IsInf(v, 1):
		return `"+Inf"`, true
	case math.IsInf(v, -1):
		return `"-Inf"`, true
	}
	return "", false
}
