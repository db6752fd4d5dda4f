package elements

import (
	"encoding/binary"

	"github.com/residual-ml/residual/internal/filekind"
)

// Foreign recognises, by the first bytes, files that are often mistaken for weights. what
// describes the file and says what to do.
func Foreign(head []byte) (what string, ok bool) {
	switch filekind.Of(head) {
	case filekind.GitLFS:
		return "is a Git LFS pointer and not the file it stands for; fetch it with git lfs pull", true
	case filekind.Page, filekind.Markup:
		return "is a web page; download the file itself", true
	case filekind.Gzip:
		return "is compressed with gzip; unpack it first", true
	case filekind.Array:
		return "is a NumPy array and not a checkpoint", true
	}
	return "", false
}

// Safetensors recognises a safetensors file of size bytes by the length of its header and the
// header's first byte. It is cut where that byte is there and the header does not fit the file.
func Safetensors(head []byte, size int64) (is, cut bool) {
	if len(head) <= 8 || head[8] != '{' {
		return false, false
	}
	is = binary.LittleEndian.Uint64(head) <= uint64(size-8)
	return is, !is
}
