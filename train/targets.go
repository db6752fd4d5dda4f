package train

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/modelfile"
	"github.com/residual-ml/residual/task"
	"github.com/residual-ml/residual/train/loop"
)

// checkTask returns an error if the task does not suit the data.
func (p plan) checkTask() error {
	of, err := task.Parse(p.Task)
	switch {
	case err != nil: // settings.Check says what it may be
	case of == task.Classes && p.Columns != "":
		return field.Errorf("{Columns} %s is for labels and values; say which with {Task}", p.Columns)
	case of == task.Classes:
	case of == task.Masks:
		return field.Errorf("{Task} masks is for a data set of a program's own; files have labels or values")
	case !p.IsPhotos():
		return field.Errorf("{Task} %s: the data set %s has classes; for %s give a .csv or .jsonl list as {Data}", of, p.Data, of)
	case !folder.IsList(p.Data):
		return field.Errorf("{Task} %s: %s is no list; give a .csv or .jsonl list, with the path of every image and its %s in columns, as {Data}", of, p.Data, of)
	}
	return nil
}

// checkAnswers returns an error for a metric of another task and for a teacher that does not
// exist, before any image is read.
func (p plan) checkAnswers() error {
	of := task.Task(p.Task)
	if all := loop.MetricsOf(of); p.Metric != "" && !slices.Contains(all, Metric(p.Metric)) {
		words := make([]string, len(all))
		for i, m := range all {
			words[i] = string(m)
		}
		return field.Errorf("{Metric} %s does not measure %s; choose one of: %s", p.Metric, of.Named(), strings.Join(words, ", "))
	}
	if p.Teacher == "" {
		if p.TeacherModule == nil && (p.TeacherTemperature != 0 || p.TeacherShare != 0) {
			return field.Errorf("{TeacherTemperature} and {TeacherShare} are of a teacher; name its model file with {Teacher}")
		}
		return nil
	}
	if _, err := os.Stat(p.Teacher); err != nil {
		return field.Errorf("{Teacher}: %w; name a model file, such as runs/train-1/best.safetensors", err)
	}
	return nil
}

// standardized returns the data sets of a training with their values standardised by the mean
// and std of the training set; test may be nil. Data sets without values are returned as they
// are.
func standardized(ctx context.Context, train, test data.Dataset) (_, _ data.Dataset, err error) {
	t := train.Info().Targets
	if t.Task != task.Values || t.Std != nil || t.Shape != nil || len(t.Names) == 0 {
		return train, test, nil
	}
	mean, std, err := data.MeanStd(ctx, train)
	if err != nil {
		return nil, nil, err
	}
	if test != nil {
		test = data.Standardized(test, mean, std)
	}
	return data.Standardized(train, mean, std), test, nil
}

// teacher returns the network that the training learns from, or nil if there is none. It must
// take the same images and answer with the same classes, labels or values.
func (p plan) teacher(train data.Dataset) (*loop.Teacher, error) {
	t := &loop.Teacher{Temperature: p.TeacherTemperature, Share: p.TeacherShare}
	switch {
	case p.TeacherModule != nil:
		t.Module = p.TeacherModule
		return t, nil
	case p.Teacher == "":
		return nil, nil
	}
	m, err := modelfile.Open(p.Teacher, modelfile.Options{})
	if err != nil {
		return nil, field.Errorf("{Teacher}: %w", err)
	}
	info := train.Info()
	is := p.input(info)
	if of := info.Targets.Task.Named(); m.Info.Task.Named() != of || !slices.Equal(m.Info.Names(), info.Names()) {
		return nil, field.Errorf("{Teacher} %s answers with the %s %s, and the training is of the %s %s; both must be the same, in one order",
			p.Teacher, m.Info.Task.Named(), few(m.Info.Names()), of, few(info.Names()))
	}
	if of := m.Info.Targets(); of.Task == task.Values && !(slices.Equal(of.Mean, info.Targets.Mean) && slices.Equal(of.Std, info.Targets.Std)) {
		return nil, field.Errorf("{Teacher} %s gives values standardised by the mean %v and the std %v, and the training has %v and %v; train both on the same images",
			p.Teacher, of.Mean, of.Std, info.Targets.Mean, info.Targets.Std)
	}
	was := m.Info.Preprocess
	switch {
	case m.Info.Channels != is.Channels:
		return nil, field.Errorf("{Teacher} %s takes images of %d channels, and the training has %d ({Channels})", p.Teacher, m.Info.Channels, is.Channels)
	case m.Info.Height != 0 && (m.Info.Height != is.Height || m.Info.Width != is.Width):
		return nil, field.Errorf("{Teacher} %s takes images of %dx%d, and the training's are %dx%d; give its size as {Resize}", p.Teacher, m.Info.Height, m.Info.Width, is.Height, is.Width)
	case was.BGR || !sameNumbers(was.Mean, is.Preprocess.Mean, 0) || !sameNumbers(was.Std, is.Preprocess.Std, 1):
		return nil, field.Errorf("{Teacher} %s normalises images by the mean %v and the std %v, and the training by %v and %v; give the same as {Mean} and {Std}",
			p.Teacher, was.Mean, was.Std, is.Preprocess.Mean, is.Preprocess.Std)
	}
	t.Module = m.Module
	return t, nil
}

// few lists names, or the first of many.
func few(names []string) string {
	const most = 8
	if more := len(names) - most; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), more)
	}
	return strings.Join(names, ", ")
}
