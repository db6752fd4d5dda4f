package hub

import (
	"encoding/hex"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strings"
)

// The defaults of a reference to a model on Hugging Face.
const (
	DefaultRevision = "main"
	DefaultFile     = "model.safetensors"
)

// Ref names a file: one of a model on Hugging Face, or one at any address.
type Ref struct {
	Owner, Name, Revision, File string // the parts of hf:OWNER/NAME@REVISION/FILE
	Address                     string // address of any other file; the parts are empty then
	SHA256                      string // digest of the content in hexadecimal; empty if it is not known

	beside, name string // for the result of Beside: the address of the first file, and the name relative to it
}

// namePart matches a part of a name.
var namePart = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`)

// Parse reads hf:OWNER/NAME[@REVISION][/FILE] or an https address, each optionally followed
// by #sha256=DIGEST. An http address needs a digest, since anyone on the way could change
// the content.
func Parse(text string) (Ref, error) {
	fail := func(why string) (Ref, error) {
		return Ref{}, fmt.Errorf("%q: %s; write hf:OWNER/NAME, hf:OWNER/NAME@REVISION/FILE or an https address, and #sha256=DIGEST behind it if you know it", text, why)
	}
	address, fragment, pinned := strings.Cut(text, "#")
	var r Ref
	if pinned {
		digest, ok := strings.CutPrefix(fragment, "sha256=")
		if digest = strings.ToLower(digest); !ok || !isSHA256(digest) {
			return fail("what follows # is not sha256= and 64 hexadecimal digits")
		}
		r.SHA256 = digest
	}
	if model, ok := strings.CutPrefix(address, "hf:"); ok {
		if why := r.model(model); why != "" {
			return fail(why)
		}
		return r, nil
	}
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return fail("it is neither hf: nor an address")
	case u.User != nil:
		return fail("an address with a user name or password is not accepted")
	case u.Scheme == "http" && !pinned:
		return fail("an http address, unlike https, needs a digest")
	case strings.HasSuffix(u.Path, "/") || u.Path == "":
		return fail("the address names no file")
	}
	r.Address = address
	return r, nil
}

// model reads OWNER/NAME[@REVISION][/FILE] and returns what is wrong with it.
func (r *Ref) model(text string) string {
	parts := strings.SplitN(text, "/", 3)
	if len(parts) < 2 {
		return "a model needs an owner and a name"
	}
	name, revision, given := strings.Cut(parts[1], "@")
	r.Owner, r.Name, r.Revision, r.File = parts[0], name, DefaultRevision, DefaultFile
	if given {
		r.Revision = revision
	}
	if len(parts) == 3 {
		r.File = parts[2]
	}
	for _, w := range append(strings.Split(r.File, "/"), r.Owner, r.Name, r.Revision) {
		if !namePart.MatchString(w) {
			return fmt.Sprintf("%q cannot be a part of a name", w)
		}
	}
	return ""
}

// Beside returns the reference to a file by its name relative to r's folder. The cache keeps
// it at the same place relative to r's file.
func (r Ref) Beside(name string) (Ref, error) {
	given := name
	name = path.Clean(name) // removes ./
	for _, w := range strings.Split(name, "/") {
		if !namePart.MatchString(w) || strings.HasSuffix(w, noteEnding) {
			return Ref{}, fmt.Errorf("%q cannot be fetched, because %q cannot be a part of a name", given, w)
		}
	}
	r.SHA256 = ""
	if r.Address == "" {
		r.File = path.Join(path.Dir(r.File), name)
		return r, nil
	}
	u, err := url.Parse(r.Address)
	if err != nil {
		return Ref{}, err
	}
	if u.Scheme != "https" {
		return Ref{}, fmt.Errorf("its digest is not known, and an http address, unlike https, needs one")
	}
	r.beside, r.name = r.Address, name
	u.Path, u.RawPath = path.Join(path.Dir(u.Path), name), ""
	r.Address = u.String()
	return r, nil
}

// String returns the reference in the form that Parse reads.
func (r Ref) String() string {
	text := r.Address
	if text == "" {
		text = "hf:" + r.Owner + "/" + r.Name + "@" + r.Revision + "/" + r.File
	}
	if r.SHA256 != "" {
		text += "#sha256=" + r.SHA256
	}
	return text
}

// Base returns the last part of the file's name.
func (r Ref) Base() string {
	if r.Address == "" {
		return path.Base(r.File)
	}
	u, err := url.Parse(r.Address)
	if err != nil || !namePart.MatchString(path.Base(u.Path)) {
		return "file"
	}
	return path.Base(u.Path)
}

// pytorchName matches the addresses of PyTorch's weights, whose names contain a digest.
var pytorchName = regexp.MustCompile(`^https://download\.pytorch\.org/.*-([0-9a-f]{8,64})\.[a-z]+$`)

// digestInName returns the beginning of the SHA-256 that PyTorch's server puts into the names
// of its files, such as resnet18-f37072fd.pth
// (https://docs.pytorch.org/docs/stable/hub.html, check_hash).
func (r Ref) digestInName() string {
	if m := pytorchName.FindStringSubmatch(r.Address); m != nil {
		return m[1]
	}
	return ""
}

func isSHA256(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 32
}
