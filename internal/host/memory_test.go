package host

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	gib     = 1 << 30
	meminfo = "MemTotal:       16777216 kB\nMemFree:  100 kB\nMemAvailable:    8388608 kB\n"
	v2Mount = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n"
	v1Mount = "31 23 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n32 23 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
)

func TestReadMemory(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string
		want  Memory
	}{
		{"nothing is known", nil, Memory{Total: systemMemory()}},
		{"no groups", map[string]string{"proc/meminfo": meminfo}, Memory{16 * gib, 8 * gib, 0, 8 * gib}},
		{"no limit", map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/user.slice/a\n", "proc/self/mountinfo": v2Mount,
			"sys/fs/cgroup/user.slice/a/memory.max": "max\n",
		}, Memory{16 * gib, 8 * gib, 0, 8 * gib}},
		{"a group that is not the root", map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/user.slice/a\n", "proc/self/mountinfo": v2Mount,
			"sys/fs/cgroup/user.slice/a/memory.max":     "4294967296\n",
			"sys/fs/cgroup/user.slice/a/memory.current": "3221225472\n",
			"sys/fs/cgroup/user.slice/a/memory.stat":    "anon 1\nfile 5\ninactive_file 1073741824\nactive_file 7\n",
		}, Memory{16 * gib, 8 * gib, 4 * gib, 2 * gib}},
		{"the group around it", map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/user.slice/a\n", "proc/self/mountinfo": v2Mount,
			"sys/fs/cgroup/user.slice/memory.max":     "1073741824\n",
			"sys/fs/cgroup/user.slice/memory.current": "2147483648\n",
			"sys/fs/cgroup/user.slice/a/memory.max":   "4294967296\n",
		}, Memory{16 * gib, 8 * gib, gib, 1}},
		{"more than there is", map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/\n", "proc/self/mountinfo": v2Mount,
			"sys/fs/cgroup/memory.max": "68719476736\n", "sys/fs/cgroup/memory.current": "0\n",
		}, Memory{16 * gib, 8 * gib, 64 * gib, 8 * gib}},
		{"a container without a namespace of groups", map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/docker/a/b\n",
			"proc/self/mountinfo":              "30 23 0:26 /docker/a /sys/fs/c\\040g rw - cgroup2 cgroup2 rw\n",
			"sys/fs/c g/b/memory.max":          "2147483648\n",
			"sys/fs/c g/docker/a/b/memory.max": "1\n",
		}, Memory{16 * gib, 8 * gib, 2 * gib, 2 * gib}},
		{"version 1", map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "5:cpu,cpuacct:/c\n4:memory:/m/n\n0::/\n", "proc/self/mountinfo": v1Mount,
			"sys/fs/cgroup/memory/memory.limit_in_bytes":     "9223372036854771712\n",
			"sys/fs/cgroup/memory/m/memory.limit_in_bytes":   "3221225472\n",
			"sys/fs/cgroup/memory/m/memory.usage_in_bytes":   "2147483648\n",
			"sys/fs/cgroup/memory/m/memory.stat":             "inactive_file 1\ntotal_inactive_file 1073741824\n",
			"sys/fs/cgroup/memory/m/n/memory.limit_in_bytes": "9223372036854771712\n",
		}, Memory{16 * gib, 8 * gib, 3 * gib, 2 * gib}},
		{"damaged", map[string]string{
			"proc/meminfo": "MemTotal:\nMemAvailable: x kB\n\n", "proc/self/cgroup": "0\n::\n\n0::a\n", "proc/self/mountinfo": "1 2\n - cgroup2\n" + v2Mount,
			"sys/fs/cgroup/memory.max": "\n",
		}, Memory{}},
	} {
		root := t.TempDir()
		for name, text := range c.files {
			path := filepath.Join(root, filepath.FromSlash(name))
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got := readMemory(root); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestFits(t *testing.T) {
	for _, c := range []struct {
		m     Memory
		bytes int64
		want  string
	}{
		{Memory{}, math.MaxInt64, ""},
		{Memory{Total: 4e9, Available: 3e9, Free: 3e9}, 3e9, ""},
		{Memory{Total: 4e9, Available: 3e9, Free: 3e9}, 3e9 + 1, "3.0 GB of memory are needed, and 3.0 GB are free"},
		{Memory{Total: 4e9, Available: 3e9, Limit: 1e9, Free: 5e7}, 2e9, "2.0 GB of memory are needed, and 50 MB are free"},
		{Memory{Total: 4e9}, 5e9, "and 4.0 GB is all that the machine has"},
		{Memory{Total: 4e9, Limit: 1e9}, 2e9, "and 1.0 GB is all that this process may have"},
	} {
		err := c.m.Fits(c.bytes)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v, %d bytes: %v, want %q", c.m, c.bytes, err, c.want)
		}
	}
}

// The numbers for the machine that runs this test must be consistent.
func TestThisMachine(t *testing.T) {
	m := ReadMemory()
	if m.Available > m.Total || m.Free > max(m.Available, m.Limit) || m.Limit < 0 || m.Free < 0 {
		t.Errorf("%+v", m)
	}
	if CPU() == "" {
		t.Error("the processor has no name")
	}
}
