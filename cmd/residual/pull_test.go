package main

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/safetensors"
)

// serveHub DIR serves DIR/OWNER/NAME/FILE as Hugging Face does, until the script
// ends, and names itself in HF_ENDPOINT.
func serveHub(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: hub DIR")
	}
	dir := ts.MkAbs(args[0])
	mux := http.NewServeMux()
	mux.HandleFunc("/{owner}/{name}/resolve/main/{file}", func(w http.ResponseWriter, r *http.Request) {
		name := path.Join(dir, r.PathValue("owner"), r.PathValue("name"), r.PathValue("file"))
		b, err := os.ReadFile(name)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("X-Linked-Etag", fmt.Sprintf(`"%x"`, sha256.Sum256(b)))
		http.ServeFile(w, r, name)
	})
	s := httptest.NewServer(mux)
	ts.Defer(s.Close)
	ts.Setenv("HF_ENDPOINT", s.URL)
}

// writeForeign NET CLASSES PATH writes the weights of a shallow net as another program
// would: they say nothing else. With -headless the last layer is missing, with -extra
// there is a tensor of that name besides.
func writeForeign(ts *testscript.TestScript, neg bool, args []string) {
	var extra []tensor.Named
	if len(args) > 1 && args[0] == "-extra" {
		extra, args = []tensor.Named{{Name: args[1], Tensor: tensor.New(1)}}, args[2:]
	}
	headless := len(args) > 0 && args[0] == "-headless"
	if headless {
		args = args[1:]
	}
	if neg || len(args) != 3 {
		ts.Fatalf("usage: weights [-headless] NET CLASSES PATH")
	}
	e, err := models.Lookup(args[0])
	ts.Check(err)
	classes, err := strconv.Atoi(args[1])
	ts.Check(err)
	state := nn.StateDict(e.New(models.Config{Classes: classes, Blocks: slices.Repeat([]int{1}, len(e.Blocks))}))
	state = append(state, extra...)
	if headless {
		state = slices.DeleteFunc(state, func(s tensor.Named) bool { return strings.HasPrefix(s.Name, e.Head+".") })
	}
	ts.Check(checkpoint.WriteFile(ts.MkAbs(args[2]), func(w io.Writer) error { return safetensors.Write(w, state, nil) }))
}

// moveOutside MODEL NAME moves the weights of an ONNX file into the file NAME beside it,
// as PyTorch's exporter writes them.
func moveOutside(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: outside MODEL NAME")
	}
	file := ts.MkAbs(args[0])
	b, err := os.ReadFile(file)
	ts.Check(err)
	message := func(number int, content []byte) []byte {
		return append(binary.AppendUvarint(binary.AppendUvarint(nil, uint64(number<<3|2)), uint64(len(content))), content...)
	}
	entry := func(key, value string) []byte {
		return message(13, append(message(1, []byte(key)), message(2, []byte(value))...))
	}
	var data []byte
	b = changed(b, 7, func(graph []byte) []byte {
		return message(7, changed(graph, 5, func(initialiser []byte) []byte {
			return message(5, changed(initialiser, 9, func(raw []byte) []byte {
				place := slices.Concat(entry("location", args[1]), entry("offset", strconv.Itoa(len(data))), entry("length", strconv.Itoa(len(raw))), []byte{14 << 3, 1})
				data = append(data, raw...)
				return place
			}))
		}))
	})
	ts.Check(os.WriteFile(file, b, 0o666))
	ts.Check(os.WriteFile(filepath.Join(filepath.Dir(file), args[1]), data, 0o666))
}

// changed puts other bytes in the place of the fields of a message that have a number
// and hold bytes.
func changed(message []byte, number uint64, change func(content []byte) []byte) (out []byte) {
	for len(message) > 0 {
		tag, n := binary.Uvarint(message)
		length := 0
		switch tag & 7 {
		case 0: // a number
			_, k := binary.Uvarint(message[n:])
			length = n + k
		case 2:
			size, k := binary.Uvarint(message[n:])
			length = n + k + int(size)
			if tag>>3 == number {
				out = append(out, change(message[n+k:length])...)
				message = message[length:]
				continue
			}
		case 1:
			length = n + 8
		case 5:
			length = n + 4
		}
		out, message = append(out, message[:length]...), message[length:]
	}
	return out
}
