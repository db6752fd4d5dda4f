package hub

import (
	"encoding/hex"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strings"
)

// Defaults of a reference to a model on Hugging Face.
const (
	DefaultRevision = "main"
	DefaultFile     = "model.safetensors"
)

// Ref says which file is wanted: of a model on Hugging Face, or at an address.
type Ref struct {
	Owner, Name, Revision, File string // of hf:OWNER/NAME@REVISION/FILE
	Address                     string // of a file elsewhere; the others are empty then
	SHA256                      string // of the content, in hexadecimal; empty where it is not known

	beside, name string // of a file beside one at an address: that address, and the name there
}

var word = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`)

// Parse reads hf:OWNER/NAME[@REVISION][/FILE] or an https address, either with
// #sha256=DIGEST behind it. Plain http is taken only with a digest, since without
// one whoever stands between could answer.
func Parse(text string) (Ref, error) {
	fail := func(why string) (Ref, error) {
		return Ref{}, fmt.Errorf("%q: %s; write hf:OWNER/NAME, hf:OWNER/NAME@REVISION/FILE or an https address, and #sha256=DIGEST behind it if you know it", text, why)
	}
	rest, fragment, pinned := strings.Cut(text, "#")
	var r Ref
	if pinned {
		digest, ok := strings.CutPrefix(fragment, "sha256=")
		if digest = strings.ToLower(digest); !ok || !isSHA256(digest) {
			return fail("what follows # is no sha256= and 64 hexadecimal digits")
		}
		r.SHA256 = digest
	}
	if model, ok := strings.CutPrefix(rest, "hf:"); ok {
		if why := r.model(model); why != "" {
			return fail(why)
		}
		return r, nil
	}
	u, err := url.Parse(rest)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return fail("it is neither hf: nor an address")
	case u.User != nil:
		return fail("an address with a user's name or password is not taken")
	case u.Scheme == "http" && !pinned:
		return fail("an address without the s of https wants a digest")
	case strings.HasSuffix(u.Path, "/") || u.Path == "":
		return fail("the address names no file")
	}
	r.Address = rest
	return r, nil
}

// model reads OWNER/NAME[@REVISION][/FILE] and returns what is wrong with it.
func (r *Ref) model(text string) string {
	parts := strings.SplitN(text, "/", 3)
	if len(parts) < 2 {
		return "the model has an owner and a name"
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
		if !word.MatchString(w) {
			return fmt.Sprintf("%q can be no part of a name", w)
		}
	}
	return ""
}

// Beside is the file of that name in the folder of r's or below it. The cache keeps it
// in the same place beside r's.
func (r Ref) Beside(name string) (Ref, error) {
	given := name
	name = path.Clean(name) // from ./name
	for _, w := range strings.Split(name, "/") {
		if !word.MatchString(w) || strings.HasSuffix(w, noteEnding) {
			return Ref{}, fmt.Errorf("%q is no name that is fetched, as %q can be no part of one", given, w)
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
		return Ref{}, fmt.Errorf("no digest of it is known, and an address without the s of https wants one")
	}
	r.beside, r.name = r.Address, name
	u.Path, u.RawPath = path.Join(path.Dir(u.Path), name), ""
	r.Address = u.String()
	return r, nil
}

// String writes the reference as Parse reads it.
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
	if err != nil || !word.MatchString(path.Base(u.Path)) {
		return "file"
	}
	return path.Base(u.Path)
}

var pytorchName = regexp.MustCompile(`^https://download\.pytorch\.org/.*-([0-9a-f]{8,64})\.[a-z]+$`)

// digestInName returns the beginning of the digest that PyTorch's own server puts
// into its files' names, like resnet18-f37072fd.pth
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
