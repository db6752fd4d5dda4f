package main

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/internal/regular"
	"github.com/residual-ml/residual/serve"
	"github.com/residual-ml/residual/train/settings"
)

// tokenVariable is the environment variable with the token of residual serve.
const tokenVariable = "RESIDUAL_TOKEN"

// serveFlags are the settings of serve.
type serveFlags struct {
	device    deviceFlags
	images    imageFlags
	options   serve.Options
	addr      string
	token     string
	tokenFile string
	insecure  bool
	grace     time.Duration
	maxBody   int64
	calibrate bool
	log       string
	verbose   bool
}

var logFormats = []string{"text", "json"}

func serveCommand() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve MODEL...",
		Short: "Answer HTTP requests with the predictions of trained models",
		Long: `Answer HTTP requests with the predictions of trained models, and show a page that
classifies images in the browser. A MODEL is a model file, an ONNX file or a run folder, as for residual predict;
NAME=MODEL gives it a name of your own. The first is the one that requests without a
name get.

An image goes to POST /predict, as by curl -T photo.jpg localhost:8000/predict, and the
answer is JSON. Clients of the Open Inference Protocol and of Triton use /v2. /metrics is
for Prometheus, /healthz and /readyz for whoever starts the program, and
/openapi.json describes every path.

Requests at the same time share batches. When --queue images wait, further requests are
refused at once with status 503 and the time after which to try again.

A model file that changes is loaded and tried beside the old one and then replaces it
between two batches; one that cannot be used changes nothing. The files are looked at every
second, and on SIGHUP. On Ctrl-C or SIGTERM the server finishes what it has accepted.

Only programs on this machine reach the server unless --addr says otherwise. Any other
address needs a token, which every request then has to carry in the header
Authorization: Bearer TOKEN, or else --insecure.
`,
		Example: `  residual serve last
  residual serve runs/train-1 --addr 127.0.0.1:9000
  residual serve shoes=runs/train-1 birds=birds.onnx --queue 256
  residual serve last --addr :8000 --token-file token`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 1 {
				return usagef("serve takes at least one model file or run folder; `%s --help` has examples", cmd.CommandPath())
			}
			return nil
		},
		ValidArgsFunction: completeModelFile,
		RunE:              func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	fs := cmd.Flags()
	o := &f.options
	fs.StringVar(&f.addr, "addr", "127.0.0.1:8000", "address and port to listen on; port 0 takes any that is free")
	fs.StringVar(&f.token, "token", "", "token that requests must carry (default: the environment variable "+tokenVariable+")")
	fs.StringVar(&f.tokenFile, "token-file", "", "file with the token")
	fs.BoolVar(&f.insecure, "insecure", false, "let anybody who reaches --addr use the server, without a token")
	fs.StringSliceVar(&o.Hosts, "host", nil, "name by which browsers may use the server without a token, such as that of a proxy")
	fs.IntVar(&o.Queue, "queue", 128, "images that may wait; further requests are refused")
	fs.IntVar(&o.Batching.MaxBatch, "max-batch", 32, "largest batch, a power of two")
	fs.DurationVar(&o.Batching.MaxDelay, "max-delay", 0, "time for which an image waits for others, such as 2ms; 0 computes at once")
	fs.DurationVar(&o.Timeout, "timeout", time.Minute, "longest time of a request")
	fs.DurationVar(&f.grace, "grace", 30*time.Second, "time to finish accepted requests at the end")
	fs.Int64Var(&f.maxBody, "max-body", 32, "largest body of a request in MiB")
	fs.IntVar(&o.MaxImages, "max-images", 64, "most images in a request")
	fs.StringVar(&f.log, "log-format", "text", "format of the log: "+strings.Join(logFormats, ", "))
	fs.BoolVar(&f.verbose, "log-requests", false, "log every request")
	takes(fs, "HOST:PORT", "addr")
	takes(fs, "TOKEN", "token")
	takes(fs, "FILE", "token-file")
	takes(fs, "NAME", "host", "log-format")
	inGroup(fs, settings.Run, "addr", "token", "token-file", "insecure", "host", "queue", "max-batch", "max-delay", "timeout", "grace", "max-body", "max-images", "log-format", "log-requests")
	common(fs, "addr", "token", "token-file", "insecure", "queue", "max-batch", "max-delay", "grace")
	addMaxPixels(cmd, &o.MaxPixels)
	addCalibrated(fs, &f.calibrate)
	f.device.add(cmd)
	f.images.add(cmd, "the file's")
	_ = cmd.RegisterFlagCompletionFunc("log-format", words(logFormats...))
	return cmd
}

func (f *serveFlags) check(cmd *cobra.Command) error {
	o := f.options
	for _, n := range []struct {
		flag  string
		value int64
	}{{"queue", int64(o.Queue)}, {"max-batch", int64(o.Batching.MaxBatch)}, {"max-body", f.maxBody}, {"max-images", int64(o.MaxImages)}} {
		if n.value < 1 {
			return usagef("--%s %d: give a number of at least 1", n.flag, n.value)
		}
	}
	if o.Batching.MaxBatch > inference.MostBatch {
		return usagef("--max-batch %d: give at most %d", o.Batching.MaxBatch, inference.MostBatch)
	}
	for flag, d := range map[string]time.Duration{"max-delay": o.Batching.MaxDelay, "grace": f.grace, "timeout": o.Timeout} {
		if d < 0 {
			return usagef("--%s %v: give a time that is not negative, such as 2ms", flag, d)
		}
	}
	if !slices.Contains(logFormats, f.log) {
		return usagef("--log-format %s is not known; choose %s", f.log, strings.Join(logFormats, ", "))
	}
	if err := checkMaxPixels(o.MaxPixels); err != nil {
		return err
	}
	if _, _, err := net.SplitHostPort(f.addr); err != nil {
		return usagef("--addr %s: %v; give HOST:PORT, such as 127.0.0.1:8000", f.addr, err)
	}
	if err := f.secret(cmd); err != nil {
		return err
	}
	return f.images.check(cmd)
}

// secret finds the token, and refuses to serve others than this machine without one.
func (f *serveFlags) secret(cmd *cobra.Command) error {
	changed := cmd.Flags().Changed
	switch {
	case changed("token") && changed("token-file"):
		return usagef("--token and --token-file: give one of them")
	case changed("token"):
		f.options.Token = f.token
	case changed("token-file"):
		content, err := regular.ReadFile(f.tokenFile, 64<<10)
		if err != nil {
			return fmt.Errorf("--token-file: %w", err)
		}
		f.options.Token = string(bytes.TrimSpace(content))
	default:
		f.options.Token = os.Getenv(tokenVariable)
	}
	given := changed("token") || changed("token-file")
	if given && f.options.Token == "" {
		return usagef("the token is empty; give one, or leave the flag out")
	}
	if f.options.Token != "" && f.insecure {
		return usagef("--insecure serves without a token, and a token is given; leave one of them out")
	}
	if f.options.Token == "" && !f.insecure && !serve.Loopback(f.addr) {
		return usagef("--addr %s can be reached from other machines; give a token with --token-file or the environment variable %s, or --insecure to serve anybody", f.addr, tokenVariable)
	}
	return nil
}

func (f *serveFlags) run(cmd *cobra.Command, args []string) (err error) {
	if err := f.check(cmd); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	models, err := f.models(args)
	if err != nil {
		return err
	}
	dev, err := f.device.open()
	if err != nil {
		return err
	}
	defer dev.Close()
	for i := range models {
		models[i].Open = func(file string) (*inference.Classifier, error) {
			c, err := f.images.load(cmd, file, &f.device, dev)
			if err != nil {
				return nil, err
			}
			return calibrated(c, f.calibrate)
		}
	}
	l, err := net.Listen("tcp", f.addr) // before the models are read, so that a port in use is told at once
	if err != nil {
		return usagef("--addr %s: %v; choose another port", f.addr, err)
	}
	defer l.Close()
	f.options.Log, f.options.MaxBody = f.logger(cmd), f.maxBody<<20
	f.options.Version, _ = checkpoint.Versions()
	s, err := serve.New(models, f.options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	f.say(cmd, l.Addr())
	hangUps := make(chan os.Signal, 1)
	signal.Notify(hangUps, syscall.SIGHUP)
	defer signal.Stop(hangUps)
	go func() {
		for {
			select {
			case <-hangUps:
				s.Reload()
			case <-ctx.Done():
				stop() // a second signal ends the program
				return
			}
		}
	}()
	return s.Serve(ctx, l, f.grace)
}

// models returns the models of the command line, and finds each of them.
func (f *serveFlags) models(args []string) (all []serve.Model, err error) {
	for _, arg := range args {
		name, path, named := strings.Cut(arg, "=")
		if _, err := os.Stat(arg); !named || err == nil { // a file may have the sign in its name
			name, path = serve.NameOf(arg), arg
		}
		if _, err := modelPath(path); err != nil {
			return nil, err
		}
		all = append(all, serve.Model{Name: name, Path: path})
	}
	return all, nil
}

func (f *serveFlags) logger(cmd *cobra.Command) *slog.Logger {
	o := &slog.HandlerOptions{Level: slog.LevelInfo}
	if f.verbose {
		o.Level = slog.LevelDebug
	}
	if f.log == "json" {
		return slog.New(slog.NewJSONHandler(cmd.ErrOrStderr(), o))
	}
	return slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), o))
}

// say tells where the server is.
func (f *serveFlags) say(cmd *cobra.Command, addr net.Addr) {
	if f.insecure && !serve.Loopback(f.addr) {
		fmt.Fprintln(cmd.ErrOrStderr(), "WARNING: --insecure: everybody who reaches this address can use the server, without a token.")
	}
	printf(cmd, "http://%s/ in a browser, or curl -T photo.jpg http://%s/predict; Ctrl-C ends it\n", addr, addr)
}
