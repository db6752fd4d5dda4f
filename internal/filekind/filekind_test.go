package filekind

import (
	"strings"
	"testing"
)

func TestOf(t *testing.T) {
	for text, want := range map[string]Kind{
		"":                         Other,
		"words":                    Other,
		"P":                        Other,
		"PK":                       Other,
		"PK\x03\x04":               Zip,
		"PK\x05\x06":               Other, // a zip without entries
		"\x1f\x8b\x08":             Gzip,
		"\x93NUMPY\x01\x00":        Array,
		"\x80\x02\x8a\x0alxfcF":    Pickle,
		"\x80\x04\x95":             Pickle,
		"\x80\x00\x00\x00":         Other,
		"version https://git-lfs.": GitLFS,
		"<html>":                   Page,
		"\ufeff\r\n <HTML lang=de": Page,
		"<!DOCTYPE html>":          Page,
		"<!-- saved --><html>":     Page,
		"<?xml version=\"1.0\"?><!DOCTYPE html><html>": Page,
		"<?xml version=\"1.0\"?><Error>":               Markup,
		"<svg>":                                        Markup,
		"{\"a\": 1}":                                   JSON,
		"\n {":                                         JSON,
		"{\x00\x00\x00\x00{":                           Other,
		"[1]":                                          JSON,
		strings.Repeat(" ", 5000) + "<html>":           Other,
	} {
		if got := Of([]byte(text)); got != want {
			t.Errorf("%.40q is %d, want %d", text, got, want)
		}
	}
	if !HasElement([]byte("<?xml version=\"1.0\"?><!-- a --><svg>"), "svg") || HasElement([]byte("a <svg>"), "svg") {
		t.Error("an element is found where it is not, or not where it is")
	}
}
