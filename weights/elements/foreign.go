package elements

import "strings"

// Foreign recognises, by its first bytes, what is often found in place of a file of
// weights, and says what to do about it.
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
		return "is an array of NumPy and no checkpoint", true
	}
	return "", false
}
