package host

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Memory is the memory of this machine in bytes; 0 stands for what the system does not
// say.
type Memory struct {
	Total     int64 // that the machine has
	Available int64 // that processes can still take, what the system can give up included
	Limit     int64 // the smallest limit of a control group that this process is in; 0 where there is none
	Free      int64 // that this process can still take: Available, or less where a limit comes first
}

// ReadMemory asks the system for its memory and, on Linux, for the limits of the control
// groups that this process is in.
func ReadMemory() Memory { return readMemory("/") }

// Fits returns an error that says how much memory there is when bytes are more than this
// process can take; nil where they fit or where the system does not say.
func (m Memory) Fits(bytes int64) error {
	free, what := m.Free, "are free"
	if free == 0 {
		free, what = m.Total, "is all that the machine has"
		if m.Limit > 0 && (free == 0 || m.Limit < free) {
			free, what = m.Limit, "is all that this process may have"
		}
	}
	if free == 0 || bytes <= free {
		return nil
	}
	return fmt.Errorf("%s of memory are needed, and %s %s", gigabytes(bytes), gigabytes(free), what)
}

func gigabytes(n int64) string {
	if n < 1e8 {
		return fmt.Sprintf("%.0f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1f GB", float64(n)/1e9)
}

// readMemory is ReadMemory of the system whose files lie in root.
func readMemory(root string) (m Memory) {
	text, err := os.ReadFile(filepath.Join(root, "proc/meminfo"))
	if err != nil {
		m.Total = systemMemory()
		return m
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		kib, _ := strconv.ParseInt(fields[1], 10, 64)
		switch fields[0] {
		case "MemTotal:":
			m.Total = kib << 10
		case "MemAvailable:":
			m.Available = kib << 10
		}
	}
	m.Free = m.Available
	for _, g := range groups(root) {
		if m.Limit == 0 || g.limit < m.Limit {
			m.Limit = g.limit
		}
		// A group that is full has next to nothing left, which is not the 0 of the unknown.
		if free := max(g.limit-g.used, 1); m.Free == 0 || free < m.Free {
			m.Free = free
		}
	}
	return m
}
