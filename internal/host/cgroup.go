package host

import (
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// group is a control group that limits memory.
type group struct {
	limit int64 // bytes
	used  int64 // of them, without cached files, which the system gives up
}

// unlimited is where the largest number that a v1 group names instead of "no limit"
// begins.
const unlimited = 1 << 60

// groups lists the limits of the control groups that this process is in, its own and
// those around it, of the system whose files lie in root; see cgroups(7). A limit binds
// whatever is in the groups below it.
func groups(root string) (all []group) {
	in, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return nil
	}
	mounts, err := os.ReadFile(filepath.Join(root, "proc/self/mountinfo"))
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(in)) { // hierarchy-ID:controllers:path
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		v2 := fields[1] == ""
		if !v2 && !contains(fields[1], "memory") {
			continue
		}
		mount, below := mounted(string(mounts), v2, fields[2])
		if mount == "" {
			continue
		}
		for dir := below; ; dir = path.Dir(dir) {
			if g, ok := readGroup(filepath.Join(root, mount, dir), v2); ok {
				all = append(all, g)
			}
			if dir == "/" {
				break
			}
		}
	}
	return all
}

// mounted finds where a hierarchy of groups is mounted, and the path of a group below
// that: the mount may show a part of the hierarchy alone, as in a container.
func mounted(mounts string, v2 bool, name string) (mount, below string) {
	for line := range strings.Lines(mounts) {
		// ID parent major:minor root mount-point options... - type source super-options
		before, after, ok := strings.Cut(strings.TrimSpace(line), " - ")
		front, back := strings.Fields(before), strings.Fields(after)
		if !ok || len(front) < 5 || len(back) < 1 {
			continue
		}
		if v2 && back[0] != "cgroup2" || !v2 && (back[0] != "cgroup" || len(back) < 3 || !contains(back[2], "memory")) {
			continue
		}
		top := unescape(front[3])
		below, ok := strings.CutPrefix(name, strings.TrimSuffix(top, "/"))
		if !ok || below != "" && below[0] != '/' {
			below = "/" // a group outside of what is mounted, whose limits are not seen
		}
		return unescape(front[4]), path.Clean("/" + below)
	}
	return "", ""
}

// unescape reads the octal escapes of mountinfo.
func unescape(s string) string {
	for _, e := range []struct{ code, char string }{{`\040`, " "}, {`\011`, "\t"}, {`\012`, "\n"}, {`\134`, `\`}} {
		s = strings.ReplaceAll(s, e.code, e.char)
	}
	return s
}

// readGroup reads the limit of one group; ok is false where it has none.
func readGroup(dir string, v2 bool) (g group, ok bool) {
	limit, used, cached := "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
	if v2 {
		limit, used, cached = "memory.max", "memory.current", "inactive_file"
	}
	n, err := strconv.ParseInt(firstLine(dir, limit), 10, 64)
	if err != nil || n >= unlimited {
		return g, false
	}
	g.limit = n
	g.used, _ = strconv.ParseInt(firstLine(dir, used), 10, 64)
	stat, _ := os.ReadFile(filepath.Join(dir, "memory.stat"))
	for line := range strings.Lines(string(stat)) {
		if value, is := strings.CutPrefix(line, cached+" "); is {
			n, _ := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
			g.used = max(g.used-n, 0)
		}
	}
	return g, true
}

// contains tells whether a list with commas has a word.
func contains(list, word string) bool {
	for w := range strings.SplitSeq(list, ",") {
		if w == word {
			return true
		}
	}
	return false
}
