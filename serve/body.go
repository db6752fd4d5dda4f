package serve

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/elements"
)

// The names of the tensors of every model.
const (
	inputName       = "input"
	logitsName      = "logits"
	probabilityName = "probabilities"
	valuesName      = "values"
)

// parameters are those of a request, an input or an output. A value is a bool, a number or text.
type parameters map[string]any

// inferRequest is the body of POST infer.
type inferRequest struct {
	ID         string        `json:"id"`
	Parameters parameters    `json:"parameters"`
	Inputs     []inferInput  `json:"inputs"`
	Outputs    []inferOutput `json:"outputs"`
}

type inferInput struct {
	Name       string          `json:"name"`
	Shape      []int64         `json:"shape"`
	Datatype   string          `json:"datatype"`
	Parameters parameters      `json:"parameters"`
	Data       json.RawMessage `json:"data"`

	binary []byte // in place of Data
	inline bool   // the data are binary
}

type inferOutput struct {
	Name       string     `json:"name"`
	Parameters parameters `json:"parameters"`
}

// datatypes are those of the protocol, with the bytes of an element; 0 for elements of any length.
var datatypes = map[string]int{
	"BOOL": 1, "UINT8": 1, "UINT16": 2, "UINT32": 4, "UINT64": 8, "INT8": 1, "INT16": 2, "INT32": 4, "INT64": 8,
	"FP16": 2, "BF16": 2, "FP32": 4, "FP64": 8, "BYTES": 0,
}

// readInferRequest reads the body of POST infer.
func readInferRequest(header http.Header, content []byte) (*inferRequest, error) {
	head, tail := content, []byte(nil)
	if text := header.Get("Inference-Header-Content-Length"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > len(content) {
			return nil, failure(http.StatusBadRequest, "Inference-Header-Content-Length: %.20q is not the length of the JSON at the beginning of a body of %d bytes", text, len(content))
		}
		if n == 0 { // a file as it is
			return &inferRequest{Inputs: []inferInput{{Name: inputName, Shape: []int64{1}, Datatype: "BYTES", binary: content, inline: true}}}, nil
		}
		head, tail = content[:n], content[n:]
	}
	var q inferRequest
	if err := parsed(head, &q); err != nil {
		return nil, err
	}
	if len(q.Inputs) != 1 || q.Inputs[0].Name != inputName {
		return nil, failure(http.StatusBadRequest, "the model has one input, %q; the request has %s", inputName, named(q.Inputs))
	}
	in := &q.Inputs[0]
	switch _, known := datatypes[in.Datatype]; {
	case !known:
		return nil, failure(http.StatusBadRequest, "input %s: %.20q is no datatype of the protocol", inputName, in.Datatype)
	case !slices.Contains([]string{"FP32", "FP64", "FP16", "BF16", "BYTES"}, in.Datatype):
		return nil, failure(http.StatusBadRequest, "input %s takes FP32 (also FP16, BF16 and FP64) on the scale of the model, or image files as BYTES, and no %s", inputName, in.Datatype)
	}
	if _, shared := in.Parameters["shared_memory_region"]; shared {
		return nil, failure(http.StatusBadRequest, "input %s: the server does not support shared memory", inputName)
	}
	size, given, err := in.Parameters.whole("binary_data_size")
	switch {
	case err != nil:
		return nil, err
	case given && in.Data != nil:
		return nil, failure(http.StatusBadRequest, "input %s: give data or binary_data_size, not both", inputName)
	case given && size != int64(len(tail)):
		return nil, failure(http.StatusBadRequest, "input %s: binary_data_size is %d, and %d bytes follow the JSON (Inference-Header-Content-Length says where it ends)", inputName, size, len(tail))
	case !given && len(tail) > 0:
		return nil, failure(http.StatusBadRequest, "%d bytes follow the JSON, and no input has binary_data_size", len(tail))
	case !given && in.Data == nil:
		return nil, failure(http.StatusBadRequest, "input %s has no data", inputName)
	}
	in.binary, in.inline = tail, given
	return &q, nil
}

func named(inputs []inferInput) string {
	if len(inputs) == 0 {
		return "none"
	}
	var names []string
	for _, in := range inputs[:min(len(inputs), 5)] {
		names = append(names, strconv.Quote(in.Name[:min(len(in.Name), 40)]))
	}
	return strings.Join(names, ", ")
}

// truth reads a parameter that is true or false.
func (p parameters) truth(name string) (value, given bool, err error) {
	switch v := p[name].(type) {
	case nil:
		return false, false, nil
	case bool:
		return v, true, nil
	}
	return false, false, failure(http.StatusBadRequest, "parameter %s is neither true nor false", name)
}

// whole reads a parameter that is a whole number.
func (p parameters) whole(name string) (value int64, given bool, err error) {
	switch v := p[name].(type) {
	case nil:
		return 0, false, nil
	case float64:
		if v == math.Trunc(v) && v >= 0 && v <= 1<<53 {
			return int64(v), true, nil
		}
	}
	return 0, false, failure(http.StatusBadRequest, "parameter %s is no whole number from 0", name)
}

// files returns the image files of an input of datatype BYTES.
func (in inferInput) files(most int) ([]upload, error) {
	bad := func(format string, args ...any) error {
		return failure(http.StatusBadRequest, "input "+inputName+": "+format, args...)
	}
	n := int64(1)
	for _, d := range in.Shape {
		if d < 1 || d > int64(most) || n*d > int64(most) {
			return nil, failure(http.StatusRequestEntityTooLarge, "input %s: a shape of %v is not one of 1 to %d files", inputName, in.Shape, most)
		}
		n *= d
	}
	if len(in.Shape) == 0 {
		return nil, bad("the shape is missing; of n files it is [n]")
	}
	files := make([]upload, 0, n)
	if !in.inline {
		texts, err := flatTexts(in.Data)
		if err != nil {
			return nil, bad("%v", err)
		}
		for i, text := range texts {
			content, err := base64.StdEncoding.DecodeString(text)
			if err != nil {
				return nil, bad("element %d is not base64, in which JSON carries files: %v", i, err)
			}
			files = append(files, upload{content: content})
		}
	} else if rest := in.binary; n == 1 && !(len(rest) >= 4 && int64(binary.LittleEndian.Uint32(rest)) == int64(len(rest)-4)) {
		files = append(files, upload{content: rest}) // a file without its length before it
	} else {
		for len(rest) > 0 {
			if len(rest) < 4 || int64(binary.LittleEndian.Uint32(rest)) > int64(len(rest)-4) {
				return nil, bad("the bytes end within an element; each is its length in 4 bytes, the lowest first, and then the file")
			}
			size := int(binary.LittleEndian.Uint32(rest))
			files = append(files, upload{content: rest[4 : 4+size]})
			rest = rest[4+size:]
			if len(files) > int(n) {
				break
			}
		}
	}
	if int64(len(files)) != n {
		return nil, bad("the shape %v is of %d files, and there are %d", in.Shape, n, len(files))
	}
	return files, nil
}

// flatTexts returns the texts of a JSON list, or of a list of lists.
func flatTexts(data json.RawMessage) ([]string, error) {
	var texts []string
	if err := json.Unmarshal(data, &texts); err == nil {
		return texts, nil
	}
	var lists [][]string
	if err := json.Unmarshal(data, &lists); err != nil {
		return nil, failure(http.StatusBadRequest, "the data are no list of texts")
	}
	return slices.Concat(lists...), nil
}

// floats returns the n numbers of an input.
func (in inferInput) floats(n int) ([]float32, error) {
	bad := func(format string, args ...any) error {
		return failure(http.StatusBadRequest, "input "+inputName+": "+format, args...)
	}
	if !in.inline {
		values, err := flatNumbers(in.Data, n)
		if err != nil {
			return nil, bad("%v", err)
		}
		if len(values) != n {
			return nil, bad("the shape %v has %d numbers, and there are %d", in.Shape, n, len(values))
		}
		return values, nil
	}
	size := datatypes[in.Datatype]
	if len(in.binary) != n*size {
		return nil, bad("the shape %v of %s has %d bytes, and there are %d", in.Shape, in.Datatype, n*size, len(in.binary))
	}
	values, b := make([]float32, n), in.binary
	switch in.Datatype {
	case "FP32":
		for i := range values {
			values[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
		}
	case "FP64":
		for i := range values {
			values[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:])))
		}
	case "BF16":
		for i := range values {
			values[i] = tensor.FromBFloat16(binary.LittleEndian.Uint16(b[2*i:]))
		}
	case "FP16":
		for i := range values {
			values[i] = elements.FromFloat16(binary.LittleEndian.Uint16(b[2*i:]))
		}
	}
	return values, nil
}

// flatNumbers returns the numbers of a JSON list, however lists are nested in it. data is JSON.
func flatNumbers(data json.RawMessage, about int) ([]float32, error) {
	values := make([]float32, 0, min(about, len(data)/2+1))
	for i := 0; i < len(data); {
		switch c := data[i]; {
		case c == '[' || c == ']' || c == ',' || c == ' ' || c == '\n' || c == '\r' || c == '\t':
			i++
		case c == '-' || c >= '0' && c <= '9':
			end := i + 1
			for end < len(data) && (data[end] >= '0' && data[end] <= '9' || bytes.IndexByte([]byte("+-.eE"), data[end]) >= 0) {
				end++
			}
			v, err := strconv.ParseFloat(string(data[i:end]), 32)
			if err != nil && !math.IsInf(v, 0) {
				return nil, failure(http.StatusBadRequest, "%.40q is no number", data[i:end])
			}
			values = append(values, float32(v))
			i = end
		default:
			return nil, failure(http.StatusBadRequest, "the data are no list of numbers")
		}
	}
	return values, nil
}
