// Package filekind tells by a file's first bytes the kinds of file that users give to readers
// of another format, and the two that several readers take apart: zip and gzip. What only one
// format's readers know, its own package recognises: images data/photo, files of weights
// package weights.
package filekind

import (
	"bytes"
	"strings"
)

// Kind is a kind of file; the zero value is any other.
type Kind int

// The kinds. A page is HTML, and Markup any other text that begins with an element, such as
// XML. JSON is text that begins with a brace or a bracket.
const (
	Other  Kind = iota
	GitLFS      // a pointer of Git LFS in place of the file
	Page
	Markup
	JSON
	Gzip
	Zip    // with an entry
	Array  // of NumPy, in a file of its own
	Pickle // of Python, from its protocol 2 on
)

// enough is how many bytes of a text are looked at.
const enough = 4096

// starts are the first bytes of kinds that are no text.
var starts = []struct {
	start string
	kind  Kind
}{
	{"version https://git-lfs", GitLFS}, {"\x1f\x8b", Gzip}, {"PK\x03\x04", Zip},
	{"\x93NUMPY", Array}, {"\x80\x02", Pickle}, {"\x80\x03", Pickle}, {"\x80\x04", Pickle}, {"\x80\x05", Pickle},
}

// Of returns the kind of a file that begins with head.
func Of(head []byte) Kind {
	for _, s := range starts {
		if bytes.HasPrefix(head, []byte(s.start)) {
			return s.kind
		}
	}
	text := strings.TrimLeft(strings.TrimPrefix(string(head[:min(len(head), enough)]), "\ufeff"), " \t\r\n")
	switch {
	case HasElement(head, "html"), HasElement(head, "!doctype html"):
		return Page
	case strings.HasPrefix(text, "<"):
		return Markup
	case (strings.HasPrefix(text, "{") || strings.HasPrefix(text, "[")) && !strings.Contains(text, "\x00"):
		return JSON
	}
	return Other
}

// HasElement reports whether a text begins with an element, such as html or svg, in any
// case, behind declarations and comments.
func HasElement(head []byte, element string) bool {
	text := bytes.TrimLeft(bytes.TrimPrefix(head[:min(len(head), enough)], []byte("\ufeff")), " \t\r\n")
	text = bytes.ToLower(text)
	if bytes.HasPrefix(text, []byte("<"+element)) {
		return true
	}
	declared := bytes.HasPrefix(text, []byte("<?xml")) || bytes.HasPrefix(text, []byte("<!"))
	return declared && bytes.Contains(text, []byte("<"+element)) && element != "!doctype html"
}
