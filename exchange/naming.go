package exchange

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/elements"
)

// naming is one way to call the tensors of a file.
type naming struct {
	of    map[string]string // the file's name of each tensor, by its name here
	notes []string          // what was left out or renamed to come to it
}

// namings lists what the tensors may be called: as in the file, and without the
// first words that all names share. A checkpoint's names have lost a prefix already;
// it may have been a field of the net, so they are tried with it first. Behind these
// come those for which something is left out or renamed, which their notes say.
func (w *Weights) listNamings(names []string, prefix string) (all []naming) {
	all = namings(names, prefix)
	var aside []string
	kept := slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		if bookkeeping(name) {
			aside = append(aside, name)
		}
		return bookkeeping(name)
	})
	var notes []string
	if len(aside) > 0 {
		notes = append(notes, fmt.Sprintf("left out, as of the loss and of metrics and not of the network: %s", w.some(aside)))
	}
	plain := unwrapped(kept)
	others := namings(slices.Collect(maps.Keys(plain)), "")
	for i := range others {
		for name, own := range others[i].of {
			others[i].of[name] = plain[own]
		}
		others[i].notes = notes
	}
	if len(kept) > 0 && (len(aside) > 0 || !identical(plain)) {
		all = append(all, others...)
	}
	if n, ok := w.gathered(plain); ok {
		n.notes = slices.Concat(notes, n.notes)
		all = append(all, n)
	}
	for _, n := range slices.Clone(all) {
		if headed, ok := w.oneHead(n); ok {
			all = append(all, headed)
		}
	}
	return all
}

func identical(of map[string]string) bool {
	for name, own := range of {
		if name != own {
			return false
		}
	}
	return true
}

func namings(names []string, prefix string) []naming {
	plain := make(map[string]string, len(names))
	for _, name := range names {
		plain[name] = name
	}
	var all []naming
	add := func(of map[string]string) {
		if of != nil {
			all = append(all, naming{of: of})
		}
	}
	if prefix != "" {
		with := make(map[string]string, len(names))
		for _, name := range names {
			with[prefix+name] = name
		}
		add(with)
	}
	const mostWords = 4 // module.model.backbone.resnet.
	for of, words := plain, 0; of != nil && words <= mostWords; of, words = stripped(of), words+1 {
		add(of)
		add(torchvisionNames(of))
	}
	return all
}

// stripped leaves out the first word, nil where the names do not share one.
func stripped(of map[string]string) map[string]string {
	shorter := make(map[string]string, len(of))
	word := ""
	for name, own := range of {
		first, rest, ok := strings.Cut(name, ".")
		if !ok || rest == "" || word != "" && first != word {
			return nil
		}
		word, shorter[rest] = first, own
	}
	if len(shorter) < 2 { // the name of a single tensor says nothing
		return nil
	}
	return shorter
}

// torchvisionNames translates Hugging Face's names, nil where they are none.
func torchvisionNames(of map[string]string) map[string]string {
	translated := make(map[string]string, len(of))
	some := false
	for name, own := range of {
		other, ok := torchvisionName(name)
		some = some || ok
		if _, twice := translated[other]; twice {
			return nil
		}
		translated[other] = own
	}
	if !some {
		return nil
	}
	return translated
}

// ofLosses are words in the names of what a training module holds beside its network:
// weights of the classes in a loss, counts of a metric.
var ofLosses = regexp.MustCompile(`^(\w+_)?(criterion|criteria|loss|losses|loss_fn|loss_func|loss_function|metrics?|acc|accuracy|auroc|auc|f1|f1_?score|precision|recall|confmat|confusion_?matrix)$|^(criterion|loss|metrics?)_\w+$`)

// bookkeeping reports whether a tensor is clearly none of a network's: one of a loss
// or of a metric, or the count of torch.optim.swa_utils.AveragedModel.
func bookkeeping(name string) bool {
	words := strings.Split(name, ".")
	switch last := len(words) - 1; {
	case last == 0 || words[0] == "module" && last == 1:
		return slices.Contains([]string{"n_averaged", "class_weights", "class_weight", "pos_weight", "global_step"}, words[last])
	default:
		return slices.ContainsFunc(words[:last], ofLosses.MatchString)
	}
}

// wrappers are words that programs put into names anywhere: torch.compile, FSDP,
// activation checkpointing, DistributedDataParallel.
var wrappers = map[string]bool{"_orig_mod": true, "_fsdp_wrapped_module": true, "_checkpoint_wrapped_module": true, "_forward_module": true, "module": true}

// unwrapped gives the file's names by those without the words of wrappers, or by
// themselves where two become one.
func unwrapped(names []string) map[string]string {
	of := make(map[string]string, len(names))
	for _, own := range names {
		words := strings.Split(own, ".")
		last := words[len(words)-1]
		words = slices.DeleteFunc(words[:len(words)-1], func(w string) bool { return wrappers[w] })
		name := strings.Join(append(words, last), ".")
		if of[name] != "" {
			for _, own := range names {
				of[own] = own
			}
			maps.DeleteFunc(of, func(name, own string) bool { return name != own })
			return of
		}
		of[name] = own
	}
	return of
}

// ofTrunk are the names of residual networks of torchvision's form and of Hugging
// Face's, in the middle of a longer name.
var ofTrunk = regexp.MustCompile(`(^|\.)((conv1|bn1|bn|fc|layer[1-4]|(resnet\.)?(embedder\.embedder|encoder\.stages)|classifier\.1)\..+)$`)

// gathered puts together the tensors of one network whose names do not share their first
// words: a backbone and a head. Of two networks in a file the averaged one is taken; of
// others the first, and the rest is too much. ok is false where there is none.
func (w *Weights) gathered(plain map[string]string) (n naming, ok bool) {
	parts := map[string]map[string]string{} // by prefix
	of := map[string]string{}               // as they stand: what belongs to no network
	for name, own := range plain {
		m := ofTrunk.FindStringSubmatchIndex(name)
		if m == nil {
			of[name] = own
			continue
		}
		rest, _ := torchvisionName(name[m[4]:])
		prefix := name[:m[4]]
		if parts[prefix] == nil {
			parts[prefix] = map[string]string{}
		}
		parts[prefix][rest] = own
	}
	var trunks []string
	for prefix, part := range parts {
		for name := range part {
			if strings.HasPrefix(name, "layer1.") {
				trunks = append(trunks, prefix)
				break
			}
		}
	}
	if len(trunks) == 0 {
		return n, false
	}
	slices.Sort(trunks)
	trunk, note := chooseTrunk(trunks)
	if note != "" {
		n.notes = append(n.notes, note)
	}
	n.of = parts[trunk]
	for prefix, part := range parts {
		for name, own := range part {
			switch {
			case prefix == trunk || note != "" && slices.Contains(trunks, prefix):
			case strings.HasPrefix(name, "fc.") && len(trunks) == 1 && n.of[name] == "" && (prefix == "" || ofHeads.MatchString(strings.TrimSuffix(prefix, "."))):
				n.of[name] = own
			default:
				of[prefix+name] = own
			}
		}
	}
	maps.Copy(n.of, of)
	return n, true
}

// averaged are words in the prefixes of averaged weights.
var averaged = regexp.MustCompile(`(^|[._])(ema|averaged?|swa)([._]|$)`)

// chooseTrunk chooses among the prefixes of the networks in a file, with a note where
// one of two is the average of the other.
func chooseTrunk(prefixes []string) (prefix, note string) {
	var means []string
	for _, p := range prefixes {
		if averaged.MatchString(p) {
			means = append(means, p)
		}
	}
	if len(means) != 1 || len(prefixes) != 2 {
		return prefixes[0], ""
	}
	other := prefixes[0]
	if other == means[0] {
		other = prefixes[1]
	}
	return means[0], fmt.Sprintf("of the networks in the file, that under %q is taken, whose weights are averaged, not that under %q", means[0], other)
}

// ofHeads are names of a last layer other than fc, among them a layer in a
// sequence with others that have no weights, as dropout.
var ofHeads = regexp.MustCompile(`^(?:\w+\.)*(?:fc|head|classifier|linear|last_linear|logits|output)(?:\.(?:fc|linear|\d+))*$`)

// oneHead renames the last layer of a network of torchvision's form that is not called
// fc, where there is one that can be it.
func (w *Weights) oneHead(n naming) (headed naming, ok bool) {
	if n.of["layer1.0.conv1.weight"] == "" || n.of["fc.weight"] != "" {
		return n, false
	}
	var heads []string
	for name, own := range n.of {
		path, isWeight := strings.CutSuffix(name, ".weight")
		if isWeight && len(w.stored[own]) == 2 && ofHeads.MatchString(path) {
			heads = append(heads, path)
		}
	}
	if len(heads) != 1 || n.of[heads[0]+".bias"] == "" {
		return n, false
	}
	of := maps.Clone(n.of)
	for _, last := range []string{".weight", ".bias"} {
		of["fc"+last] = of[heads[0]+last]
		delete(of, heads[0]+last)
	}
	first, _, _ := strings.Cut(heads[0], ".")
	for name := range of { // a layer with weights of its own is no dropout
		if strings.HasPrefix(name, first+".") && name != "fc.weight" && name != "fc.bias" {
			return n, false
		}
	}
	note := fmt.Sprintf("the last layer fc is %s in the file", heads[0])
	if digit := heads[0][len(heads[0])-1]; '0' <= digit && digit <= '9' {
		note += "; layers without weights beside it, such as dropout, are taken to change nothing"
	}
	return naming{of: of, notes: slices.Concat(n.notes, []string{note})}, true
}

// some lists tensors by the names and with the shapes that the file has.
func (w *Weights) some(names []string) string {
	const most = 4
	var parts []string
	for _, name := range names[:min(most, len(names))] {
		parts = append(parts, withShape(name, w.stored[name]))
	}
	if more := len(names) - most; more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(parts, ", ")
}

// withShape is the name of a tensor as it stands where it is a plain one, and its shape.
func withShape(name string, shape tensor.Shape) string {
	if quoted := elements.Quote(name); quoted != `"`+name+`"` || strings.ContainsAny(name, " ,;") {
		name = quoted
	}
	return fmt.Sprintf("%s %v", name, shape)
}
