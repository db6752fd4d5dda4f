package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data/photo"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/report"
	"github.com/residual-ml/residual/train/settings"
)

// embedFlags are the settings of embed.
type embedFlags struct {
	device     deviceFlags
	images     imageFlags
	embedding  inference.EmbedConfig
	neighbours int
	queries    []string
	format     string
	out        string
	maxPixels  int64
	json       bool
}

func embedCommand() *cobra.Command {
	var f embedFlags
	cmd := &cobra.Command{
		Use:   "embed MODEL PATH...",
		Short: "Write embeddings of images, or find the most similar images",
		Long: `Write the embedding of every image: the numbers that a trained model makes of it before
it decides on a class. Similar images have similar embeddings. With --neighbours the
most similar images are found, by the cosine of the angle between embeddings.

A PATH is an image, a folder, a pattern in quotes or - for a list on standard input, as
for residual predict, and images are read and prepared as there. An image that cannot
be read gets a line on stderr and the exit status is 1; the others are answered.

The embedding is what goes into the last linear layer. --layer takes the output of
another module, by its path in residual summary MODEL, such as layer3 or layer4.0.conv1;
the first call of a module that is called several times, and the others as relu_1,
relu_2. Of an output with a height and a width the mean is taken, unless --flatten.

--format csv has the columns path, 0, 1, 2 and so on; jsonl has one object on each line; npy is
an array with a row for each image, and --out FILE.npy also writes FILE.txt with the
paths of the rows; safetensors has the tensor embeddings, and the paths as JSON in its
metadata. The default is what the ending of --out says, or jsonl.

--neighbours 5 lists for every image the five others that are most similar, and with
--query only for the images given there. Embeddings are held in memory for it, and no
images. Equally similar images are in the order of the paths.
`,
		Example: `  residual embed runs/train-1 photos --out embeddings.npy
  residual embed last photos --neighbours 5
  residual embed last photos --neighbours 5 --query shoe.png
  residual embed resnet18.safetensors 'photos/**/*.jpg' --layer layer3 --format csv`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 {
				return usagef("embed takes a model file and at least one image, folder or pattern; `%s --help` has examples", cmd.CommandPath())
			}
			return nil
		},
		ValidArgsFunction: completeModelFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd)
			defer stop()
			return hearing(ctx, func() error { return f.run(ctx, cmd, args[0], args[1:]) })
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&f.embedding.Layer, "layer", "", "path of the module whose output is the embedding (default: what goes into the last linear layer)")
	fs.BoolVar(&f.embedding.Flatten, "flatten", false, "keep every number of an output with a height and a width, in place of the mean")
	fs.IntVarP(&f.neighbours, "neighbours", "k", 0, "list so many most similar images, in place of the embeddings")
	fs.StringArrayVar(&f.queries, "query", nil, "image, folder or pattern to list neighbours of; repeat it for more (default: all of PATH)")
	fs.StringVar(&f.format, "format", "", "format of embeddings: "+strings.Join(embeddingFormats, ", ")+"; of neighbours: "+strings.Join(neighbourFormats, ", "))
	fs.StringVar(&f.out, "out", "", "file to write, in place of standard output")
	takes(fs, "PATH", "layer", "query")
	takes(fs, "NAME", "format")
	takes(fs, "FILE", "out")
	inGroup(fs, settings.Model, "layer", "flatten")
	inGroup(fs, settings.Run, "neighbours", "query", "format", "out")
	common(fs, "layer", "neighbours", "query", "format", "out")
	addMaxPixels(cmd, &f.maxPixels)
	f.device.add(cmd)
	f.device.precision, fs.Lookup("precision").DefValue = "fp32", "fp32" // bf16 has too few digits to compare by
	f.images.add(cmd, "the file's")
	fs.BoolVar(&f.json, "json", false, "print the result as JSON: --format json")
	inGroup(fs, settings.Run, "json")
	common(fs, "json")
	_ = cmd.RegisterFlagCompletionFunc("format", words(slices.Compact(slices.Sorted(slices.Values(slices.Concat(embeddingFormats, neighbourFormats))))...))
	return cmd
}

func (f *embedFlags) check(cmd *cobra.Command) error {
	changed := cmd.Flags().Changed
	switch {
	case changed("neighbours") && f.neighbours < 1:
		return usagef("--neighbours %d: give the number of similar images to list, at least 1", f.neighbours)
	case len(f.queries) > 0 && f.neighbours == 0:
		return usagef("--query says whose neighbours are listed; give their number with --neighbours")
	case f.json && changed("format") && f.format != "json":
		return usagef("--json and --format %s: give one of them", f.format)
	case changed("out") && f.out == "":
		return usagef("--out is empty; name a file, or leave the flag out")
	case changed("layer") && f.embedding.Layer == "":
		return usagef("--layer is empty; name a module, or leave the flag out")
	}
	formats, what := embeddingFormats, "embeddings"
	if f.neighbours > 0 {
		formats, what = neighbourFormats, "neighbours"
	}
	ending := strings.TrimPrefix(filepath.Ext(f.out), ".")
	switch {
	case f.json:
		f.format = "json"
	case f.format == "" && slices.Contains(formats, ending):
		f.format = ending
	case f.format == "":
		f.format = formats[0]
	}
	if !slices.Contains(formats, f.format) {
		return usagef("--format %s is none of %s; choose %s", f.format, what, strings.Join(formats, ", "))
	}
	if isBinary(f.format) && f.out == "" && report.IsTerminal(cmd.OutOrStdout()) {
		return usagef("--format %s is not for a terminal; name a file with --out", f.format)
	}
	if err := checkMaxPixels(f.maxPixels); err != nil {
		return err
	}
	return f.images.check(cmd)
}

func (f *embedFlags) run(ctx context.Context, cmd *cobra.Command, model string, paths []string) error {
	if err := f.check(cmd); err != nil {
		return err
	}
	model, dev, c, err := f.images.open(cmd, model, &f.device)
	if err != nil {
		return err
	}
	defer dev.Close()
	if err := c.TakesImages(); err != nil {
		return err
	}
	c.Decoding.MaxPixels = f.maxPixels
	e, err := c.Embedder(f.embedding)
	if err != nil {
		return fmt.Errorf("%w; `residual summary %s` lists the modules for --layer", err, model)
	}
	r := embedRun{embedFlags: f, cmd: cmd, embedder: e, stdin: &stdinPaths{r: cmd.InOrStdin()}}
	r.info.model, r.info.layer = model, f.embedding.Layer
	write := func(w io.Writer) error {
		if f.neighbours > 0 {
			return r.similar(ctx, paths, w)
		}
		return r.embeddings(ctx, paths, w)
	}
	if f.out != "" {
		err = r.writeFile(write)
	} else {
		err = write(cmd.OutOrStdout())
	}
	switch {
	case ctx.Err() != nil && f.out != "":
		return fmt.Errorf("interrupted: %s was not written", f.out)
	case ctx.Err() != nil:
		return errors.New("interrupted")
	case err == nil && r.bad > 0:
		return errReported
	}
	return err
}

// embedRun is a run of embed.
type embedRun struct {
	*embedFlags
	cmd      *cobra.Command
	embedder *inference.Embedder
	stdin    *stdinPaths
	info     embeddingInfo
	bad      int // images that could not be embedded
}

// writeFile writes the file of --out, and the paths beside it if it cannot hold them.
func (r *embedRun) writeFile(write func(io.Writer) error) error {
	var to notingWriter
	var failed error
	err := checkpoint.WriteFile(r.out, func(w io.Writer) error {
		to.w = w
		failed = write(&to)
		return failed
	})
	switch {
	case failed != nil && to.err == nil: // the disk is not at fault
		return fmt.Errorf("%s was not written: %w", r.out, failed)
	case err == nil && r.format == "npy":
		return r.writePaths()
	}
	return err
}

// notingWriter remembers whether writing failed.
type notingWriter struct {
	w   io.Writer
	err error
}

func (n *notingWriter) Write(b []byte) (int, error) {
	done, err := n.w.Write(b)
	if err != nil {
		n.err = err
	}
	return done, err
}

// each calls do with the embedding of every image that can be read, and says on stderr which
// cannot. failed, if it is not nil, is told of these, too.
func (r *embedRun) each(ctx context.Context, paths []string, do func(path string, v []float32) error, failed func(path, text string) error) error {
	shown, done := r.progress()
	err := r.embedder.EmbedFiles(ctx, photo.Find(r.stdin.expanded(paths)), func(path string, v []float32, err error) error {
		if err == nil {
			shown(true)
			return do(path, v)
		}
		r.bad++
		shown(false)
		text := imageError(err)
		fmt.Fprintln(r.cmd.ErrOrStderr(), "residual:", text)
		if failed != nil {
			return failed(path, text)
		}
		return nil
	})
	done()
	if err == nil { // else the list may still be waited for
		err = r.stdin.err
	}
	return err
}

// progress counts images on a terminal, as predict does.
func (r *embedRun) progress() (shown func(ok bool), done func()) {
	return (&predictFlags{out: r.out}).showImages(r.cmd)
}

// embeddings writes the embeddings of all images.
func (r *embedRun) embeddings(ctx context.Context, paths []string, w io.Writer) error {
	out := newEmbeddings(r.format, w, &r.info)
	size := 0
	err := r.each(ctx, paths, func(path string, v []float32) error {
		if size == 0 {
			size = len(v)
		}
		if len(v) != size && isTable(r.format) {
			return fmt.Errorf("%s: its embedding has %d numbers, and that of the first image %d, so that they are no table; leave --flatten out, or give --format jsonl", path, len(v), size)
		}
		return out.add(embedded{Image: path, Embedding: v})
	}, func(path, text string) error { return out.add(embedded{Image: path, Error: text}) })
	if err != nil {
		return err
	}
	return out.end()
}

// similar writes the neighbours of the queries, or of all images.
func (r *embedRun) similar(ctx context.Context, paths []string, w io.Writer) error {
	var g inference.Gallery
	seen := map[string]bool{} // no image is its own neighbour because its path was given twice
	if err := r.each(ctx, paths, func(path string, v []float32) error {
		if seen[path] {
			return nil
		}
		seen[path] = true
		return g.Add(path, v)
	}, nil); err != nil {
		return err
	}
	out := newNeighbours(r.format, w, r.neighbours)
	if len(r.queries) == 0 {
		shown, done := r.progress()
		err := g.Each(ctx, r.neighbours, func(path string, near []inference.Neighbour) error {
			shown(true)
			return out.add(neighboursOf{Image: path, Neighbours: near})
		})
		done()
		return errors.Join(err, out.end())
	}
	err := r.each(ctx, r.queries, func(path string, v []float32) error {
		near, err := g.Nearest(v, r.neighbours+1)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		near = slices.DeleteFunc(near, func(n inference.Neighbour) bool { return n.Image == path })
		return out.add(neighboursOf{Image: path, Neighbours: near[:min(len(near), r.neighbours)]})
	}, func(path, text string) error { return out.add(neighboursOf{Image: path, Error: text}) })
	return errors.Join(err, out.end())
}
