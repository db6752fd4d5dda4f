package elements

import "strings"

// Foreign recognises, by the first bytes, files that are often mistaken for weights. what
// describes the file and says what to do.
func Foreign(head []byte) (what string, ok bool) {
	text := string(head)
	switch {
	case strings.HasPrefix(text, "version https://git-lfs"):
		return "is a Git LFS pointer and not the file it stands for; fetch it with git lfs pull", true
	case strings.HasPrefix(strings.TrimSpace(text), "<"):
		return "is a web page; download the file itself", true
	case strings.HasPrefix(text, "\x1f\x8b"):
		return "is compressed with gzip; unpack it first", true
	case strings.HasPrefix(text, "\x93NUMPY"):
		return "is a NumPy array and not a checkpoint", true
	}
	return "", false
}
