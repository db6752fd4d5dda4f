package safetensors

import (
	"bytes"
	"testing"

	"github.com/residual-ml/residual/tensor"
)

// The weights of a ResNet-18 take 45 MB; a plain copy of as many bytes is the baseline.
func BenchmarkFile(b *testing.B) {
	big := tensor.New(11_178_378).Fill(1)
	var file bytes.Buffer
	if err := Write(&file, []tensor.Named{{Name: "w", Tensor: big}}, nil); err != nil {
		b.Fatal(err)
	}
	spare := make([]byte, file.Len())
	b.Run("copy", func(b *testing.B) {
		b.SetBytes(int64(file.Len()))
		for b.Loop() {
			copy(spare, file.Bytes())
		}
	})
	b.Run("write", func(b *testing.B) {
		b.SetBytes(int64(file.Len()))
		for b.Loop() {
			if err := Write(bytes.NewBuffer(spare[:0]), []tensor.Named{{Name: "w", Tensor: big}}, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("read", func(b *testing.B) {
		b.SetBytes(int64(file.Len()))
		for b.Loop() {
			f, err := readBytes(file.Bytes())
			if err != nil {
				b.Fatal(err)
			}
			if _, err := f.Tensor("w"); err != nil {
				b.Fatal(err)
			}
		}
	})
}
