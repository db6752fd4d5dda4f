package number

import (
	"encoding/json"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
)

var forms = []struct {
	v    float64
	json string
}{{math.NaN(), `null`}, {math.Inf(1), `"+Inf"`}, {math.Inf(-1), `"-Inf"`}, {1.5, `1.5`}, {0, `0`}, {1e-7, `1e-7`}}

func same(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) }

func TestFloat(t *testing.T) {
	for _, c := range forms {
		b, err := json.Marshal([]Float{Float(c.v)})
		if want := "[" + c.json + "]"; err != nil || string(b) != want {
			t.Errorf("%v became %s, %v", c.v, b, err)
		}
		var back []Float
		if err := json.Unmarshal(b, &back); err != nil || !same(float64(back[0]), c.v) {
			t.Errorf("%s became %v, %v", b, back, err)
		}
		if again, err := Parse(Append(nil, c.v, 64)); err != nil || !same(again, c.v) {
			t.Errorf("%v was appended and read as %v, %v", c.v, again, err)
		}
		if p := Known(c.v); Finite(c.v) != (p != nil) || p != nil && float64(*p) != c.v {
			t.Errorf("%v is known as %v", c.v, p)
		}
	}
	var f Float
	if err := json.Unmarshal([]byte(`"NaN"`), &f); err != nil || !math.IsNaN(float64(f)) {
		t.Errorf("an earlier version's NaN became %v, %v", f, err)
	}
	for _, text := range []string{`"little"`, `"1.5"`, `true`, `{}`, `[1]`} {
		if err := json.Unmarshal([]byte(text), &f); err == nil {
			t.Errorf("%s became %v", text, f)
		}
	}
}

type inner struct {
	Depth float64 `json:"depth"`
	Name  string  `json:"name"`
	Own   string
}

type pointed struct {
	Reached float32 `json:"reached"`
}

type coded struct{ v float64 }

func (m coded) MarshalJSON() ([]byte, error) { return json.Marshal(m.v) }

type outer struct {
	inner
	*pointed
	Name    string             `json:"name,omitempty"` // of inner's, too
	Loss    float64            `json:"loss"`
	None    float64            `json:"none,omitempty"`
	Rate    float32            `json:",omitempty"`
	Score   *float64           `json:"score"`
	Left    *float64           `json:"left,omitempty"`
	Values  []float64          `json:"values"`
	Pair    [2]float32         `json:"pair"`
	Nil     []float64          `json:"nil"`
	Empty   []float64          `json:"empty,omitempty"`
	Zero    inner              `json:"zero,omitzero"`
	Any     any                `json:"any"`
	Map     map[string]any     `json:"map"`
	Metrics map[string]float64 `json:"metrics,omitempty"`
	Counts  [][]int            `json:"counts"`
	Bytes   []byte             `json:"bytes"`
	Raw     json.RawMessage    `json:"raw"`
	Own     coded              `json:"own"`
	Hidden  chan int           `json:"-"`
	Text    string
	private int
}

func full(f float64) outer {
	return outer{
		inner: inner{f, "inner", "x"}, pointed: &pointed{float32(f)}, Loss: f, Rate: float32(f), Score: &f, Values: []float64{1, f}, Pair: [2]float32{float32(f), 2},
		Any: []any{f, "<a & b>", nil, inner{f, "", ""}}, Map: map[string]any{"z": f, "<b>": []float32{float32(f)}, "a": map[string]float64{"n": f}},
		Metrics: map[string]float64{"b": f, "a": 1}, Counts: [][]int{{1, 2}, nil}, Bytes: []byte("bytes"), Raw: json.RawMessage(`{"a": 1}`), Text: "ü\u2028<>\n", private: 1,
	}
}

// TestEncodingIsThatOfTheStandardLibrary compares finite values with encoding/json.
func TestEncodingIsThatOfTheStandardLibrary(t *testing.T) {
	named := full(0.1)
	named.Name, named.Empty, named.Zero.Name, named.Left = "outer", []float64{1}, "z", new(float64)
	for i, v := range []any{full(0.1), &named, outer{}, nil, 1.5, []int(nil), []outer{full(3), {}}, map[string]outer{"a": full(1)}, (*outer)(nil), map[int]float64{2: 1, 1: 3}, "<"} {
		want, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Marshal(v); err != nil || string(got) != string(want) {
			t.Errorf("%d: %v\n%s\nwant\n%s", i, err, got, want)
		}
		for _, indent := range []string{"", " "} {
			var got, want strings.Builder
			e := json.NewEncoder(&want)
			e.SetEscapeHTML(false)
			e.SetIndent("", indent)
			if err := errors.Join(e.Encode(v), Write(&got, v, indent)); err != nil || got.String() != want.String() {
				t.Errorf("%d: %v\n%s\nwant\n%s", i, err, got.String(), want.String())
			}
		}
	}
}

// TestEveryNumber puts numbers that JSON lacks wherever a number can be.
func TestEveryNumber(t *testing.T) {
	for _, c := range forms[:3] {
		b, err := Marshal(full(c.v))
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		finite, err := Marshal(full(7777))
		if err != nil {
			t.Fatal(err)
		}
		if want := strings.ReplaceAll(string(finite), "7777", c.json); string(b) != want {
			t.Errorf("%s\nwant\n%s", b, want)
		}
	}
}

type self struct {
	inner
	Loss float64 `json:"loss"`
}

func (s self) MarshalJSON() ([]byte, error) { return Object(s) }

func TestObject(t *testing.T) {
	b, err := json.Marshal([]self{{inner{math.NaN(), "a<b", "x"}, math.Inf(-1)}})
	if want := `[{"depth":null,"name":"a\u003cb","Own":"x","loss":"-Inf"}]`; err != nil || string(b) != want {
		t.Errorf("%s, %v, want %s", b, err, want)
	}
}

func TestWhatCannotBeEncoded(t *testing.T) {
	for _, v := range []any{make(chan int), []any{func() {}}, struct {
		N int `json:"n,string"`
	}{}, map[string]any{"a": complex(1, 1)}, struct{ M coded }{coded{math.NaN()}}} {
		if b, err := Marshal(v); err == nil {
			t.Errorf("%T became %s", v, b)
		}
		if err := Write(io.Discard, v, ""); err == nil {
			t.Errorf("%T was written", v)
		}
	}
}
