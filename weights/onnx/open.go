package onnx

import (
	"fmt"
	"os"
	"path/filepath"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/residual-ml/residual/weights/elements"
)

// Open reads the file at path. Weights may be in other files in the same folder, as
// external data: PyTorch's newer exporter puts them into NAME.onnx.data.
func Open(path string) (*Model, error) {
	b, err := readFile(path)
	if err != nil {
		return nil, err
	}
	folder := &outside{}
	defer folder.close()
	if folder.root, err = os.OpenRoot(filepath.Dir(path)); err != nil {
		return nil, err
	}
	return read(b, path, folder)
}

// Read reads a model from b, to which the model keeps no reference. name stands for the
// file in errors. Weights in other files are an error.
func Read(b []byte, name string) (*Model, error) { return read(b, name, nil) }

func read(b []byte, name string, folder *outside) (*Model, error) {
	m, err := readModel(b, folder)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return m, nil
}

func readFile(path string) ([]byte, error) {
	f, size, err := elements.OpenFile(path, ".onnx")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if size > maxBytes {
		return nil, fmt.Errorf("%s: %d bytes, where an ONNX file has at most %d; export with external data", path, size, maxBytes)
	}
	b := make([]byte, size)
	if err := elements.ReadFull(f, b, 0); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return b, nil
}

// Beside lists the files with weights that the model at path names, without duplicates. It
// does not look for them: the names come from the file and may lead anywhere.
func Beside(path string) (names []string, err error) {
	b, err := readFile(path)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	within := func(number protowire.Number, visit func(message []byte) error) func(f field) error {
		return func(f field) error {
			if f.number != number {
				return nil
			}
			var message []byte
			if err := f.message(&message); err != nil {
				return err
			}
			return visit(message)
		}
	}
	err = fields(b, within(7, func(graph []byte) error {
		return fields(graph, within(5, func(initialiser []byte) error {
			var entries [][]byte
			var external bool
			err := fields(initialiser, func(f field) error {
				if f.number == 13 || f.number == 14 {
					return f.external(&entries, &external)
				}
				return nil
			})
			if err != nil || !external && entries == nil {
				return err
			}
			p, err := readPlace(entries)
			if err == nil && !seen[p.location] {
				seen[p.location] = true
				names = append(names, p.location)
			}
			return err
		}))
	}))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return names, nil
}
