package pth

import "unicode/utf8"

// Settings returns the plain values stored beside the state dict, which are usually a
// trainer's settings: strings, numbers, booleans and nil, and dicts and lists of them
// (map[string]any, []any). An argparse.Namespace is a dict of its attributes. Values that
// are nested more deeply, or longer, than settings usually are, are left out. Settings
// returns nil where there are none.
func (f *File) Settings() map[string]any { return f.settings }

const (
	deepestSetting = 4
	maxSettings    = 4096 // total number of values
	longestList    = 64
	longestSetting = 1 << 16
)

// settingsOf collects the settings from a file's value, without the state dict.
func settingsOf(top *dict, keys map[string]bool) map[string]any {
	left := maxSettings
	all := plainDict(top, keys, deepestSetting, &left)
	if len(all) == 0 {
		return nil
	}
	return all
}

func plainDict(d *dict, except map[string]bool, depth int, left *int) map[string]any {
	all := map[string]any{}
	for i, k := range d.keys {
		key, ok := k.(string)
		if !ok || !utf8.ValidString(key) || except[key] {
			continue
		}
		if v, ok := plain(d.values[i], depth, left); ok {
			all[key] = v
		}
	}
	return all
}

// plain converts a value for Settings; ok is false where the value is not plain.
func plain(v any, depth int, left *int) (_ any, ok bool) {
	if *left--; *left < 0 || depth == 0 {
		return nil, false
	}
	items := func(of []any) (any, bool) {
		list := []any{}
		for _, item := range of[:min(len(of), longestList)] {
			if v, ok := plain(item, depth-1, left); ok {
				list = append(list, v)
			}
		}
		return list, true
	}
	switch v := v.(type) {
	case nil, bool, int64, float64:
		return v, true
	case string:
		return v, utf8.ValidString(v) && len(v) <= longestSetting
	case *tuple:
		return items(v.items)
	case *list:
		return items(v.items)
	case *dict:
		return plainDict(v, nil, depth-1, left), true
	case *inert:
		if v.state != nil {
			return plainDict(v.state, nil, depth-1, left), true
		}
	}
	return nil, false
}
