package onnx

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// Copy copies the file at path to w and sets the given metadata, replacing entries of the
// same names. Everything else stays byte for byte, including what this package does not
// read. A model with weights in other files is rewritten with the weights inside.
func Copy(w io.Writer, path string, metadata map[string]string) error {
	outside, err := Beside(path)
	if err != nil {
		return err
	}
	if len(outside) > 0 {
		m, err := Open(path)
		if err != nil {
			return err
		}
		maps.Copy(m.Metadata, metadata)
		return Write(w, m)
	}
	b, err := readFile(path)
	if err != nil {
		return err
	}
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		size := -1
		if n >= 0 {
			size = protowire.ConsumeFieldValue(number, kind, b[n:])
		}
		if size < 0 {
			return fmt.Errorf("%s: %s", path, damaged)
		}
		encoded := b[:n+size]
		b = b[n+size:]
		if number == 14 {
			entry := &Model{Metadata: map[string]string{}}
			f := field{number: number, kind: kind}
			f.bytes, _ = protowire.ConsumeBytes(encoded[n:])
			if err := entry.readMetadata(f); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			if replaced(entry.Metadata, metadata) {
				continue
			}
		}
		if _, err := w.Write(encoded); err != nil {
			return err
		}
	}
	var tail []byte
	for _, key := range slices.Sorted(maps.Keys(metadata)) {
		tail = appendMessage(tail, 14, appendText(appendText(nil, 1, key), 2, metadata[key]))
	}
	_, err = w.Write(tail)
	return err
}

func replaced(entry, by map[string]string) bool {
	for key := range entry {
		if _, ok := by[key]; ok {
			return true
		}
	}
	return false
}
