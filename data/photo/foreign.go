package photo

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/residual-ml/residual/internal/filekind"
)

// convertAdvice is the next step for an image that this package does not decode.
const convertAdvice = "which is not read here; convert it to JPEG or PNG"

// foreign returns the error for a file of no known format. It says what the file is, by its
// content.
func foreign(content []byte) error {
	if len(content) == 0 {
		return errors.New("is empty; give another copy")
	}
	if kind := imageKind(content); kind != "" {
		return fmt.Errorf("is %s, %s", kind, convertAdvice)
	}
	if kind := otherKind(content); kind != "" {
		return fmt.Errorf("is %s, not an image; give an image in its place", kind)
	}
	if len(bytes.Trim(content[:min(len(content), 1<<16)], "\x00")) == 0 {
		return errors.New("contains only zeros, as after a failed copy; give another copy")
	}
	return fmt.Errorf("is not a %s file; convert it to one of these", formatNames)
}

const formatNames = "JPEG, PNG, GIF, WebP, BMP or TIFF"

// imageStarts lists the first bytes of images that this package does not decode.
var imageStarts = []struct{ start, kind string }{
	{"\x00\x00\x00\x0cJXL \r\n\x87\n", "a JPEG XL image"},
	{"\xff\x0a", "a JPEG XL image"},
	{"\x00\x00\x00\x0cjP  \r\n\x87\n", "a JPEG 2000 image"},
	{"\xff\x4f\xff\x51", "a JPEG 2000 image"},
	{"II+\x00", "a BigTIFF image"}, {"MM\x00+", "a BigTIFF image"},
	{"IIRO", "a camera's raw image"}, {"IIRS", "a camera's raw image"}, {"IIU\x00", "a camera's raw image"}, {"MMOR", "a camera's raw image"},
	{"FUJIFILMCCD-RAW", "a camera's raw image"}, {"FOVb", "a camera's raw image"}, {"\x00MRM", "a camera's raw image"},
	{"II\xbc\x01", "a JPEG XR image"},
	{"8BPS", "a Photoshop image"},
	{"gimp xcf", "a GIMP image"},
	{"qoif", "a QOI image"},
	{"\x76\x2f\x31\x01", "an OpenEXR image"},
	{"#?RADIANCE", "a Radiance image"},
	{"\x00\x00\x01\x00", "an icon"}, {"\x00\x00\x02\x00", "a Targa image or a cursor"}, {"icns", "an icon"},
	{"DDS ", "a DirectDraw image"},
	{"\x8aMNG", "an MNG animation"}, {"\x8bJNG", "a JNG image"},
	{"SIMPLE  =", "a FITS image"},
	{"%PDF", "a PDF document"}, {"%!PS", "a PostScript document"},
}

// imageKind returns the kind of an image that is not decoded, or "" for other files.
func imageKind(b []byte) string {
	for _, s := range imageStarts {
		if starts(s.start)(b) {
			return s.kind
		}
	}
	switch {
	case isRaw(b):
		return "a camera's raw image"
	case len(b) > 3 && b[0] == 'P' && b[1] >= '1' && b[1] <= '7' && strings.IndexByte(" \t\r\n#", b[2]) >= 0:
		return "a PNM image"
	case len(b) > 132 && string(b[128:132]) == "DICM":
		return "a DICOM image"
	case filekind.HasElement(b, "svg"):
		return "an SVG drawing"
	}
	return isoKind(b, isoImages)
}

var isoImages = map[string]string{
	"avif": "an AVIF image", "avis": "an AVIF image", "crx ": "a camera's raw image", "jxl ": "a JPEG XL image",
	"heic": "a HEIC image", "heix": "a HEIC image", "hevc": "a HEIC image", "hevx": "a HEIC image",
	"heim": "a HEIC image", "heis": "a HEIC image", "mif1": "a HEIF image", "msf1": "a HEIF image",
}

// isoKind returns the kind of an ISO base media file (ISO/IEC 14496-12, section 4.3) by its brand
// or its compatible brands. A more specific brand takes precedence over mif1.
func isoKind(b []byte, kinds map[string]string) (kind string) {
	if len(b) < 16 || string(b[4:8]) != "ftyp" {
		return ""
	}
	box := b[8:min(int64(len(b)), max(16, int64(binary.BigEndian.Uint32(b))))]
	for i := 0; i+4 <= min(len(box), 256); i += 4 {
		k := kinds[string(box[i:i+4])]
		if i != 4 && (kind == "" || kind == isoImages["mif1"]) && k != "" { // bytes 4 to 7 are a version
			kind = k
		}
	}
	return kind
}

// otherStarts lists the first bytes of other files that are found with names of images.
var otherStarts = []struct{ start, kind string }{
	{"\x1aE\xdf\xa3", "a video"}, {"FLV\x01", "a video"}, {"\x00\x00\x01\xba", "a video"}, {"\x00\x00\x01\xb3", "a video"},
	{"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a video"}, {"OggS", "a video"},
	{"\x00\x05\x16\x07", "a side file of macOS"}, {"\x00\x05\x16\x00", "a side file of macOS"},
}

func otherKind(b []byte) string {
	for _, s := range otherStarts {
		if starts(s.start)(b) {
			return s.kind
		}
	}
	switch {
	case len(b) >= 12 && string(b[:4]) == "RIFF" && string(b[8:12]) == "AVI ", len(b) >= 16 && (string(b[4:8]) == "ftyp" || string(b[4:8]) == "moov"):
		return "a video"
	}
	return map[filekind.Kind]string{
		filekind.GitLFS: "a pointer of Git LFS (git lfs pull fetches the file)",
		filekind.Zip:    "a ZIP archive", filekind.Gzip: "a gzip file", filekind.Page: "a web page",
	}[filekind.Of(b)]
}

// undecodedNames maps the file extensions of images that this package does not decode to their
// kinds.
var undecodedNames = map[string]string{
	".heic": "HEIC", ".heif": "HEIF", ".hif": "HEIF", ".avif": "AVIF", ".jxl": "JPEG XL",
	".jp2": "JPEG 2000", ".j2k": "JPEG 2000", ".jpf": "JPEG 2000", ".jpx": "JPEG 2000", ".j2c": "JPEG 2000",
	".psd": "Photoshop", ".psb": "Photoshop", ".xcf": "GIMP", ".svg": "SVG",
	".ppm": "PNM", ".pgm": "PNM", ".pbm": "PNM", ".pnm": "PNM", ".qoi": "QOI", ".exr": "OpenEXR", ".tga": "Targa", ".dcm": "DICOM",
	".dng": "camera raw", ".cr2": "camera raw", ".cr3": "camera raw", ".crw": "camera raw", ".nef": "camera raw", ".nrw": "camera raw",
	".arw": "camera raw", ".srf": "camera raw", ".sr2": "camera raw", ".orf": "camera raw", ".rw2": "camera raw", ".raf": "camera raw",
	".pef": "camera raw", ".srw": "camera raw", ".x3f": "camera raw", ".raw": "camera raw", ".3fr": "camera raw", ".iiq": "camera raw",
}

// NamedOther returns the kind of an image that this package does not decode, such as "HEIC", by
// the extension of its name, or "" for other names. Such images must be converted first.
func NamedOther(name string) string { return undecodedNames[strings.ToLower(filepath.Ext(name))] }
