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

// naming maps the names of a model's tensors to the names in a file, one possible way.
type naming struct {
	of    map[string]string // the name in the file, by the name in the model
	notes []string          // what this naming leaves out or renames
}

// listNamings lists the names that the tensors may have in a model: those of the file, and
// those without the first words that all names share. A checkpoint's names have lost a
// prefix already, which may have been a field of the net, so the names with it come first.
// Namings that leave tensors out or rename a layer come last; their notes say so.
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
		notes = append(notes, fmt.Sprintf("left out, as of the loss and of metrics and not of the network: %s", w.listTensors(aside)))
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

// identical reports whether every name is mapped to itself.
func identical(of map[string]string) bool {
	for name, own := range of {
		if name != own {
			return false
		}
	}
	return true
}

// namings lists the names as they are, with prefix, and without up to four first words that
// they share, each also translated from Hugging Face's names.
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
	const maxWords = 4 // as in module.model.backbone.resnet.
	for of, words := plain, 0; of != nil && words <= maxWords; of, words = stripped(of), words+1 {
		add(of)
		add(torchvisionNames(of))
	}
	return all
}

// stripped removes the first word of all names. It returns nil if they do not share one.
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

// torchvisionNames translates Hugging Face's names. It returns nil if there are none.
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

// ofLosses matches the names of modules that hold tensors of a loss or a metric, such as
// class weights and counts, beside the network.
var ofLosses = regexp.MustCompile(`^(\w+_)?(criterion|criteria|loss|losses|loss_fn|loss_func|loss_function|metrics?|acc|accuracy|auroc|auc|f1|f1_?score|precision|recall|confmat|confusion_?matrix)$|^(criterion|loss|metrics?)_\w+$`)

// bookkeeping reports whether a tensor clearly does not belong to a network: it belongs to a
// loss or a metric, or is the counter of torch.optim.swa_utils.AveragedModel.
func bookkeeping(name string) bool {
	words := strings.Split(name, ".")
	switch last := len(words) - 1; {
	case last == 0 || words[0] == "module" && last == 1:
		return slices.Contains([]string{"n_averaged", "class_weights", "class_weight", "pos_weight", "global_step"}, words[last])
	default:
		return slices.ContainsFunc(words[:last], ofLosses.MatchString)
	}
}

// wrappers are words that PyTorch programs insert into names: torch.compile, FSDP,
// activation checkpointing and DistributedDataParallel do.
var wrappers = map[string]bool{"_orig_mod": true, "_fsdp_wrapped_module": true, "_checkpoint_wrapped_module": true, "_forward_module": true, "module": true}

// unwrapped maps names without the words of wrappers to the file's names. If two names
// become the same, it maps all names to themselves instead.
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

// ofTrunk matches the part of a longer name that begins with a name of torchvision's
// ResNets or of Hugging Face's.
var ofTrunk = regexp.MustCompile(`(^|\.)((conv1|bn1|bn|fc|layer[1-4]|(resnet\.)?(embedder\.embedder|encoder\.stages)|classifier\.1)\..+)$`)

// gathered joins a backbone and a head whose names have different prefixes into the tensors
// of one network. If the file holds two networks and one is the average of the other, it
// takes the average; otherwise it takes the first, and the others' tensors stay as
// unexpected ones. ok is false if there is no such network.
func (w *Weights) gathered(plain map[string]string) (n naming, ok bool) {
	parts := map[string]map[string]string{} // by prefix
	of := map[string]string{}               // tensors of no network, under the file's names
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

// averaged matches the prefixes of averaged weights.
var averaged = regexp.MustCompile(`(^|[._])(ema|averaged?|swa)([._]|$)`)

// chooseTrunk chooses one of the prefixes of the networks in a file. The note is empty
// unless one of two networks is the average of the other.
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

// ofHeads matches the names of a last layer other than fc, also within a sequence of layers
// without weights, such as dropout.
var ofHeads = regexp.MustCompile(`^(?:\w+\.)*(?:fc|head|classifier|linear|last_linear|logits|output)(?:\.(?:fc|linear|\d+))*$`)

// oneHead renames the last layer of a torchvision-like network to fc. ok is false unless
// there is exactly one layer that can be it.
func (w *Weights) oneHead(n naming) (headed naming, ok bool) {
	if n.of["layer1.0.conv1.weight"] == "" || n.of["fc.weight"] != "" {
		return n, false
	}
	var heads []string
	for name, own := range n.of {
		path, isWeight := strings.CutSuffix(name, ".weight")
		if isWeight && len(w.fileShapes[own]) == 2 && ofHeads.MatchString(path) {
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
	for name := range of { // dropout has no weights, so other weights mean another kind of layer
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

// listTensors lists up to four tensors with their shapes, under the file's names.
func (w *Weights) listTensors(names []string) string {
	const listed = 4
	var parts []string
	for _, name := range names[:min(listed, len(names))] {
		parts = append(parts, withShape(name, w.fileShapes[name]))
	}
	if more := len(names) - listed; more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(parts, ", ")
}

// withShape returns the name of a tensor, quoted unless it is a plain word, and its shape.
func withShape(name string, shape tensor.Shape) string {
	if quoted := elements.Quote(name); quoted != `"`+name+`"` || strings.ContainsAny(name, " ,;") {
		name = quoted
	}
	return fmt.Sprintf("%s %v", name, shape)
}
