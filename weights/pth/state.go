package pth

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/residual-ml/residual/weights/elements"
)

// wrappers are the keys under which programs store a state dict, in order of preference:
// averaged weights come first, since programs evaluate those.
var wrappers = []string{"state_dict_ema", "model_ema", "state_dict", "model_state_dict", "model_state", "model", "net"}

// prefixes are the prefixes that wrappers of modules add to every name.
var prefixes = []string{"module.", "_orig_mod.", "model."}

type entry struct {
	name string
	view *view
	// same is the index of the first entry that is the same view of the same storage:
	// tied weights.
	same int
}

// found says where in a file the tensors were.
type found struct {
	key, prefix string
	others      []string // keys of state dicts that were passed over
	settings    map[string]any
}

// stateDict finds the tensors in a file's value. It returns where they were, and the
// tensors in order.
func stateDict(value any) (at found, entries []entry, err error) {
	top, ok := value.(*dict)
	if !ok {
		return at, nil, fmt.Errorf("holds %s and no state dict; %s", kind(value), resave)
	}
	state, dicts := top, map[string]bool{}
	for _, w := range wrappers {
		if i, ok := top.text[w]; ok {
			if d, ok := top.values[i].(*dict); ok && d.tensors() > 0 {
				dicts[w] = true
				if at.key == "" {
					at.key, state = w, d
				} else {
					at.others = append(at.others, w)
				}
			}
		}
	}
	if state.tensors() == 0 && len(state.keys) > 0 {
		return at, nil, fmt.Errorf("holds no tensors by name, nor a state dict under one of %s; its entries are %s; %s",
			strings.Join(wrappers, ", "), top.describe(), resave)
	}
	for i, k := range state.keys {
		v, ok := state.values[i].(*view)
		if !ok {
			continue
		}
		name, ok := k.(string)
		if !ok || !utf8.ValidString(name) {
			return at, nil, fmt.Errorf("a tensor under %s, where a name belongs; %s", show(k), resave)
		}
		entries = append(entries, entry{name: name, view: v})
	}
	at.prefix, entries = strip(entries)
	at.settings = settingsOf(top, dicts)
	return at, entries, nil
}

// tensors counts the values that are tensors.
func (d *dict) tensors() (n int) {
	for _, v := range d.values {
		if _, ok := v.(*view); ok {
			n++
		}
	}
	return n
}

// describe lists up to a few keys for an error.
func (d *dict) describe() string {
	const most = 8
	var names []string
	for i, k := range d.keys {
		if i == most {
			names = append(names, fmt.Sprintf("and %d more", len(d.keys)-most))
			break
		}
		names = append(names, show(k)+" ("+kind(d.values[i])+")")
	}
	return strings.Join(names, ", ")
}

// strip removes the prefixes that all names share. It leaves out n_averaged, the counter
// that torch.optim.swa_utils.AveragedModel stores beside its module.
func strip(entries []entry) (string, []entry) {
	whole := ""
	for again := true; again; {
		again = false
		for _, p := range prefixes {
			rest := entries[:0:0]
			for _, e := range entries {
				if name, ok := strings.CutPrefix(e.name, p); ok && name != "" {
					rest = append(rest, entry{name: name, view: e.view})
				} else if e.name != "n_averaged" || p != "module." {
					rest = nil
					break
				}
			}
			if len(rest) > 0 {
				whole, entries, again = whole+p, rest, true
			}
		}
	}
	return whole, entries
}

// identify finds the entries that are the same view, and checks the memory of all others
// against the size of the file.
func identify(entries []entry, size int64) error {
	type looks struct {
		storage *storage
		dtype   string
		layout  string
	}
	first := make(map[looks]int, len(entries))
	elementsLeft, spansLeft := 4*size+1<<20, 16*size+1<<20
	var layout []byte
	for i := range entries {
		v := entries[i].view
		layout = strconv.AppendInt(layout[:0], v.first, 10)
		for d := range v.shape {
			layout = strconv.AppendInt(append(layout, ' '), int64(v.shape[d]), 10)
			layout = strconv.AppendInt(append(layout, ' '), v.stride[d], 10)
		}
		l := looks{v.storage, v.dtype, string(layout)}
		if j, ok := first[l]; ok {
			entries[i].same = j
			continue
		}
		first[l], entries[i].same = i, i
		n := int64(v.shape.Numel())
		if n > elementsLeft/v.size {
			return fmt.Errorf("tensor %s of shape %v repeats elements of its storage beyond what a file of %d bytes justifies; "+
				"call .contiguous() before saving, if it is meant", elements.Quote(entries[i].name), v.shape, size)
		}
		elementsLeft -= n * v.size
		if !v.contiguous() {
			span := (v.after - v.first) * v.size
			if span > spansLeft {
				return fmt.Errorf("tensor %s is one of too many that pick elements out of a large storage; "+
					"call .contiguous() before saving, if it is meant", elements.Quote(entries[i].name))
			}
			spansLeft -= span
		}
	}
	return nil
}
