package host

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Memory describes the memory of this machine in bytes. A field is 0 if the system does
// not tell it.
type Memory struct {
	Total     int64 // memory of the machine
	Available int64 // memory that processes can still allocate, including what the system can reclaim
	Limit     int64 // smallest limit of the control groups of this process; 0 without one
	Free      int64 // memory that this process can still allocate: Available, or less under a limit
}

// ReadMemory reads the memory of the machine and, on Linux, the limits of the control
// groups of this process.
func ReadMemory() Memory { return readMemory("/") }

// Fits returns an error that says how much memory there is if this process cannot allocate
// that many bytes. It returns nil if they fit or if the free memory is unknown.
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

// readMemory is ReadMemory for a system whose files lie in root.
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
		// If a group is full, Free is 1, since 0 means unknown.
		if free := max(g.limit-g.used, 1); m.Free == 0 || free < m.Free {
			m.Free = free
		}
	}
	return m
}
