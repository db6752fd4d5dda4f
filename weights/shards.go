package weights

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/residual-ml/residual/internal/filekind"
	"github.com/residual-ml/residual/internal/regular"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/elements"
	"github.com/residual-ml/residual/weights/pth"
	"github.com/residual-ml/residual/weights/safetensors"
)

// Weights that are split into several files, called shards, come with an index that maps
// every tensor to its file, as transformers and huggingface_hub write it
// (https://huggingface.co/docs/transformers/big_models):
//
//	{"metadata": {...}, "weight_map": {"conv1.weight": "model-00001-of-00002.safetensors", ...}}

// IndexEnding is the ending of an index's file name.
const IndexEnding = ".index.json"

// inFolder lists the file names by which Locate finds the weights in a folder, in order of
// preference.
var inFolder = []string{"model.safetensors", "model.safetensors" + IndexEnding, "pytorch_model.bin", "pytorch_model.bin" + IndexEnding}

const (
	maxIndexBytes = 16 << 20 // bytes
	maxShards     = 512
)

// Locate returns the file of weights at path: path itself or, for a folder, its
// model.safetensors or pytorch_model.bin, or the index of their shards.
func Locate(path string) (string, error) {
	st, err := os.Stat(path)
	if err != nil || !st.IsDir() {
		return path, nil // whoever opens the file reports the error
	}
	for _, name := range inFolder {
		file := filepath.Join(path, name)
		if _, err := os.Stat(file); err == nil {
			return file, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return "", fmt.Errorf("%s: is a folder with none of %s in it; give the path of a file of weights", path, strings.Join(inFolder, ", "))
}

// Shards lists the files that the index at path names, sorted and without duplicates. It
// opens none of them; each name is a bare file name without a folder.
func Shards(path string) ([]string, error) {
	in, err := readIndex(path)
	if err != nil {
		return nil, err
	}
	return in.files(), nil
}

// index maps every tensor to the file that holds it.
type index struct {
	WeightMap map[string]string `json:"weight_map"`
}

func (in index) files() []string { return slices.Compact(slices.Sorted(maps.Values(in.WeightMap))) }

func readIndex(path string) (in index, err error) {
	file, size, err := elements.OpenFile(path, "safetensors"+IndexEnding)
	if err != nil {
		return in, err
	}
	defer file.Close()
	if size > maxIndexBytes {
		return in, fmt.Errorf("%s: %d bytes are too many for an index of shards; at most %d are read", path, size, maxIndexBytes)
	}
	text, err := io.ReadAll(io.LimitReader(file, size))
	if err != nil {
		return in, fmt.Errorf("%s: %w", path, err)
	}
	if err := json.Unmarshal(text, &in); err != nil {
		return in, fmt.Errorf("%s: is no index of shards (%w); copy or download it again", path, err)
	}
	if len(in.WeightMap) == 0 {
		return in, fmt.Errorf("%s: has no weight_map, as an index of shards has; give the path of a file of weights", path)
	}
	files := in.files()
	if len(files) > maxShards {
		return in, fmt.Errorf("%s: names %d files; at most %d are read", path, len(files), maxShards)
	}
	for _, name := range files {
		if name == "" || name == "." || name == ".." || strings.ContainsAny(name, `/\:`) || strings.HasSuffix(name, IndexEnding) {
			return in, fmt.Errorf("%s: puts tensors into %s, which is not the name of a file beside it; copy or download it again", path, elements.Quote(name))
		}
	}
	return in, nil
}

// shards reads the tensors of several files under the names in the index.
type shards struct {
	path   string
	names  []string
	in     map[string]*shard // by tensor
	opened []*shard
}

// shard is one of the files.
type shard struct {
	name   string
	prefix string // prefix that its reader leaves out of the names
	file   io.Closer
	reader
}

// openShards opens the files that the index at path names. It follows no link out of the
// folder, or out of the cache that the folder belongs to.
func openShards(path string) (*File, error) {
	in, err := readIndex(path)
	if err != nil {
		return nil, err
	}
	root, below, err := shardFolder(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	defer root.Close()
	s := &shards{path: path, in: map[string]*shard{}}
	f := &File{Path: path, reader: s}
	for _, name := range in.files() {
		one, format, metadata, err := openShard(root, filepath.Join(below, name), name)
		if err != nil {
			s.Close()
			return nil, fmt.Errorf("%s: its shard %s: %w", path, elements.Quote(name), err)
		}
		s.opened = append(s.opened, one)
		if f.Format != "" && f.Format != format {
			s.Close()
			return nil, fmt.Errorf("%s: its shard %s is a .%s file, and others are .%s files; copy or download them again", path, elements.Quote(name), format, f.Format)
		}
		f.Format = format
		if f.Metadata == nil {
			f.Metadata = metadata
		}
		if err := s.add(one, in); err != nil {
			s.Close()
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(in.WeightMap)) {
		if s.in[name] == nil {
			s.Close()
			return nil, fmt.Errorf("%s: puts tensor %s into %s, which has none of that name; copy or download both again", path, elements.Quote(name), elements.Quote(in.WeightMap[name]))
		}
	}
	return f, nil
}

// add lists the tensors of a shard, and checks that they are those in the index.
func (s *shards) add(one *shard, in index) error {
	for _, name := range one.reader.Names() {
		name = one.prefix + name
		switch where := in.WeightMap[name]; where {
		case one.name:
		case "":
			return fmt.Errorf("%s: does not list tensor %s of its shard %s; copy or download both again", s.path, elements.Quote(name), elements.Quote(one.name))
		default:
			return fmt.Errorf("%s: puts tensor %s into %s, but it is in %s; copy or download them again", s.path, elements.Quote(name), elements.Quote(where), elements.Quote(one.name))
		}
		s.names = append(s.names, name)
		s.in[name] = one
	}
	return nil
}

// shardFolder opens the folder of an index. For a snapshot in the cache of huggingface_hub,
// whose files are links to ../../blobs, it opens the model's folder in that cache:
// https://huggingface.co/docs/huggingface_hub/guides/manage-cache.
func shardFolder(dir string) (root *os.Root, below string, err error) {
	full, err := filepath.Abs(dir)
	if err != nil {
		return nil, "", err
	}
	if snapshots := filepath.Dir(full); filepath.Base(snapshots) == "snapshots" {
		if st, err := os.Stat(filepath.Join(filepath.Dir(snapshots), "blobs")); err == nil && st.IsDir() {
			root, err = os.OpenRoot(filepath.Dir(snapshots))
			return root, filepath.Join("snapshots", filepath.Base(full)), err
		}
	}
	root, err = os.OpenRoot(dir)
	return root, "", err
}

func openShard(root *os.Root, path, name string) (*shard, Format, map[string]string, error) {
	file, err := regular.OpenIn(root, path)
	if err != nil {
		return nil, "", nil, fmt.Errorf("%w; put that file beside the index", err)
	}
	st, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, "", nil, err
	}
	one, format, metadata, err := readShard(file, st.Size(), name)
	if err != nil {
		file.Close()
		return nil, "", nil, err
	}
	return one, format, metadata, nil
}

func readShard(file *os.File, size int64, name string) (*shard, Format, map[string]string, error) {
	head := make([]byte, min(size, 64))
	if err := elements.ReadFull(file, head, 0); err != nil {
		return nil, "", nil, err
	}
	one := &shard{name: name, file: file}
	if is, _ := elements.Safetensors(head, size); is {
		s, err := safetensors.Read(file, size, name)
		if err != nil {
			return nil, "", nil, err
		}
		one.reader = s
		return one, Safetensors, s.Metadata(), nil
	}
	p, err := pth.Read(file, size, name)
	if err != nil {
		return nil, "", nil, err
	}
	one.reader = p
	_, one.prefix = p.Found()
	return one, PyTorch, nil, nil
}

func (s *shards) Names() []string { return slices.Clone(s.names) }

func (s *shards) Info(name string) (dtype string, shape tensor.Shape, ok bool) {
	one := s.in[name]
	if one == nil {
		return "", nil, false
	}
	return one.reader.Info(strings.TrimPrefix(name, one.prefix))
}

func (s *shards) Tensor(name string) (*tensor.Tensor, error) {
	one := s.in[name]
	if one == nil {
		return nil, fmt.Errorf("%s: lists no tensor %s; its %d tensors belong to another architecture or use other names", s.path, elements.Quote(name), len(s.names))
	}
	return one.reader.Tensor(strings.TrimPrefix(name, one.prefix))
}

func (s *shards) Tensors() (map[string]*tensor.Tensor, error) { return elements.All(s.names, s.Tensor) }

func (s *shards) Close() (err error) {
	for _, one := range s.opened {
		err = errors.Join(err, one.file.Close())
	}
	return err
}

// IsIndex reports whether the file at path is an index of shards: JSON, as no file of weights
// is.
func IsIndex(path string) bool {
	file, size, err := elements.OpenFile(path, "")
	if err != nil {
		return false // whoever opens the file reports the error
	}
	defer file.Close()
	head := make([]byte, min(size, 64))
	return elements.ReadFull(file, head, 0) == nil && filekind.Of(head) == filekind.JSON
}
