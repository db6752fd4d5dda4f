package host

import "golang.org/x/sys/unix"

// systemCPU returns the vendor's name of the CPU.
func systemCPU() string {
	name, _ := unix.Sysctl("machdep.cpu.brand_string")
	return name
}

// systemMemory returns the memory of the machine in bytes.
func systemMemory() int64 {
	n, _ := unix.SysctlUint64("hw.memsize")
	return int64(n)
}
