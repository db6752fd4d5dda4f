package main

import "github.com/residual-ml/residual/internal/host"

// room says whether this process can take so many bytes of memory, where the system tells.
func room(bytes int64) error { return host.ReadMemory().Fits(bytes) }
