package pth

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
)

// The tests write pickles opcode by opcode and archives entry by entry, since no
// library writes invalid ones.

const protocol2 = "\x80\x02"

func text(s string) string {
	return "X" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(s)))) + s
}

// number encodes an int as BININT1 or LONG1.
func number(n int64) string {
	if n >= 0 && n < 256 {
		return "K" + string([]byte{byte(n)})
	}
	return "\x8a\x08" + string(binary.LittleEndian.AppendUint64(nil, uint64(n)))
}

func numbers(ns ...int64) string {
	s := "("
	for _, n := range ns {
		s += number(n)
	}
	return s + "t"
}

func storageOf(kind, key string, numel int64) string {
	return "(" + text("storage") + "ctorch\n" + kind + "\n" + text(key) + text("cpu") + number(numel) + "tQ"
}

// rebuilt returns a tensor over a storage of four floats with any offset, size and strides.
func rebuilt(storage, offset, size, stride string) string {
	return "ctorch._utils\n_rebuild_tensor_v2\n(" + storage + offset + size + stride + "\x89ccollections\nOrderedDict\n)RtR"
}

// state returns a state dict with one tensor, t.
func state(tensor string) string { return protocol2 + "}" + text("t") + tensor + "s." }

func four() string { return storageOf("FloatStorage", "0", 4) }

// tensorOf returns a state dict with one tensor over four floats.
func tensorOf(offset int64, size, stride []int64) string {
	return state(rebuilt(four(), number(offset), numbers(size...), numbers(stride...)))
}

func good() string { return tensorOf(0, []int64{2, 2}, []int64{2, 1}) }

type part struct {
	name, content string
	method        uint16
}

// zipped writes the entries exactly as given.
func zipped(parts ...part) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, p := range parts {
		e, err := w.CreateHeader(&zip.FileHeader{Name: p.name, Method: p.method})
		if err == nil {
			_, err = e.Write([]byte(p.content))
		}
		if err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// checkpoint returns an archive with a pickle and a storage of four floats.
func checkpoint(pickle string) []byte {
	return zipped(part{name: "archive/data.pkl", content: pickle}, part{name: "archive/data/0", content: strings.Repeat("\x00\x00\x80?", 4)})
}

// central calls change with the i-th header of an archive's directory.
func central(file []byte, i int, change func(header []byte)) []byte {
	file = bytes.Clone(file)
	at := int(binary.LittleEndian.Uint32(file[len(file)-6:]))
	for ; i > 0; i-- {
		h := file[at:]
		at += 46 + int(binary.LittleEndian.Uint16(h[28:])) + int(binary.LittleEndian.Uint16(h[30:])) + int(binary.LittleEndian.Uint16(h[32:]))
	}
	if string(file[at:at+4]) != "PK\x01\x02" {
		panic(fmt.Sprintf("no central header at %d", at))
	}
	change(file[at:])
	return file
}

// old writes a value and a list of keys in the format before PyTorch 1.6.
func old(value, keys, storages string) []byte {
	return []byte(legacyMagic + protocol2 + "M\xe9\x03." + protocol2 + "}." + protocol2 + value + "." + protocol2 + keys + "." + storages)
}

// oldTensor returns a state dict with one tensor over four floats.
func oldTensor(view string) string {
	storage := "(" + text("storage") + "ctorch\nFloatStorage\n" + text("k") + text("cpu") + number(4) + view + "tQ"
	return "}" + text("t") + rebuilt(storage, number(0), numbers(4), numbers(1)) + "s"
}
