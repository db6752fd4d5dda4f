package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/image/bmp"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/prepare"
	"github.com/residual-ml/residual/tensor"
)

// fails STATUS COMMAND... demands the exit status and, as the last line on stderr, the only
// one that begins with the program's name.
func fails(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: fails STATUS COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != want {
		ts.Fatalf("%q ended with %v, not with status %d", args[1:], err, want)
	}
	stderr := ts.ReadFile("stderr")
	last := stderr[strings.LastIndex(strings.TrimSuffix(stderr, "\n"), "\n")+1:]
	if !strings.HasPrefix(last, "residual: ") || strings.Count("\n"+stderr, "\nresidual: ") != 1 {
		ts.Fatalf("stderr does not end with one line of the program:\n%s", stderr)
	}
}

// writeModel PATH writes a model file whose answer to every image is class 9.
// What it says of itself may be a lie, by flags.
func writeModel(ts *testscript.TestScript, neg bool, args []string) {
	fs := flag.NewFlagSet("model", flag.ContinueOnError)
	net := fs.String("net", "d2l-bnlenet", "network whose weights are written")
	about := fs.String("says", "", "network that the file says it is")
	set := fs.String("data", "garments", "data set it says it was trained on")
	classes := fs.String("classes", "", "class names instead of the data set's")
	size := fs.Int("size", 28, "height and width it says its input has")
	channels := fs.Int("channels", 1, "channels of the images")
	if err := fs.Parse(args); neg || err != nil || fs.NArg() != 1 {
		ts.Fatalf("usage: model [flags] PATH: %v", err)
	}
	e, err := models.Lookup(*net)
	ts.Check(err)
	m := e.New(models.Config{Channels: *channels})
	nn.Init(m, 1, nn.XavierUniform)
	bias := nn.Parameters(m)
	bias[len(bias)-1].Value.Data()[9] = 1000
	info := checkpoint.Model{
		Architecture: *net, Classes: strings.Split(*classes, ","),
		Input: prepare.Input{Channels: *channels, Height: *size, Width: *size, Preprocess: prepare.Steps{Grey: *channels == 1}}, Dataset: *set,
	}
	if *about != "" {
		info.Architecture = *about
	}
	if *classes == "" {
		ds, err := data.Open(context.Background(), "garments", data.Options{Size: 1})
		ts.Check(err)
		info.Classes = ds.Info().Classes
	}
	var state []tensor.Named
	for _, t := range nn.StateDict(m) {
		state = append(state, tensor.Named{Name: t.Name, Tensor: t.Tensor})
	}
	ts.Check(checkpoint.SaveModel(ts.MkAbs(fs.Arg(0)), info, state))
}

// webp is an image of one pixel; there is no encoder to write one with.
const webp = "UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA=="

// writeImage PATH WIDTHxHEIGHT writes an image of the kind its name says.
func writeImage(ts *testscript.TestScript, neg bool, args []string) {
	var w, h int
	if len(args) == 2 {
		_, err := fmt.Sscanf(args[1], "%dx%d", &w, &h)
		ts.Check(err)
	}
	if neg || w < 1 || h < 1 {
		ts.Fatalf("usage: image PATH WIDTHxHEIGHT")
	}
	img := image.NewPaletted(image.Rect(0, 0, w, h), color.Palette{color.Black, color.White, color.RGBA{200, 30, 90, 255}})
	for i := range img.Pix {
		img.Pix[i] = uint8(i % 3)
	}
	f, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	encode := map[string]func(io.Writer) error{
		".png": func(w io.Writer) error { return png.Encode(w, img) },
		".jpg": func(w io.Writer) error { return jpeg.Encode(w, img, nil) },
		".gif": func(w io.Writer) error { return gif.Encode(w, img, nil) },
		".bmp": func(w io.Writer) error { return bmp.Encode(w, img) },
		".webp": func(w io.Writer) error {
			b, _ := base64.StdEncoding.DecodeString(webp)
			_, err := w.Write(b)
			return err
		},
	}[filepath.Ext(args[0])]
	if encode == nil {
		ts.Fatalf("image: %s has an unknown ending", args[0])
	}
	ts.Check(encode(f))
	ts.Check(f.Close())
}

// cut FROM TO BYTES copies the beginning of a file; fewer than 0 bytes are left
// out at its end.
func cut(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: cut FROM TO BYTES")
	}
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	b, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	if n < 0 {
		n += len(b)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), b[:n], 0o666))
}

// encode ENCODING FROM TO writes a text as another program would: utf-16 with a byte order
// mark and CR LF, cr for ends of lines, windows-1252, or long for one long line.
func encode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: encode ENCODING FROM TO")
	}
	text, out := ts.ReadFile(args[1]), []byte(nil)
	switch args[0] {
	case "utf-16":
		for _, u := range utf16.Encode([]rune("\ufeff" + strings.ReplaceAll(text, "\n", "\r\n"))) {
			out = append(out, byte(u), byte(u>>8))
		}
	case "cr":
		out = []byte(strings.ReplaceAll(text, "\n", "\r"))
	case "windows-1252":
		for _, c := range text {
			out = append(out, byte(c)) // of letters as in Latin-1
		}
	case "long":
		out = bytes.Repeat([]byte("x"), 3<<20)
	default:
		ts.Fatalf("encode: %s is not known", args[0])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), out, 0o666))
}

// await PATH waits for a file that a program beside the script writes.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: await PATH")
	}
	for range 120_000 {
		if _, err := os.Stat(ts.MkAbs(args[0])); err == nil {
			return
		}
		time.Sleep(time.Millisecond)
	}
	ts.Fatalf("%s did not come", args[0])
}
