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
	used  int64 // bytes in use, without cached files, which the system can drop
}

// unlimited is the least limit that means "no limit": a v1 group has a very large number
// instead.
const unlimited = 1 << 60

// groups lists the limits of the control groups of this process, its own and all parents,
// since a limit includes the groups below it. The files of the system lie in root; see
// cgroups(7).
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

// mounted finds the mount point of a hierarchy of groups, and the path of a group below
// it. The mount may show only a part of the hierarchy, as in a container.
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
			below = "/" // the group lies outside the mount, so its limits are not visible
		}
		return unescape(front[4]), path.Clean("/" + below)
	}
	return "", ""
}

// unescape decodes the octal escapes of mountinfo.
func unescape(s string) string {
	for _, e := range []struct{ code, char string }{{`\040`, " "}, {`\011`, "\t"}, {`\012`, "\n"}, {`\134`, `\`}} {
		s = strings.ReplaceAll(s, e.code, e.char)
	}
	return s
}

// readGroup reads the limit of one group. ok is false if the group has none.
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

// contains reports whether a comma-separated list has a word.
func contains(list, word string) bool {
	for w := range strings.SplitSeq(list, ",") {
		if w == word {
			return true
		}
	}
	return false
}
