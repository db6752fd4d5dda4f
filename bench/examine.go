package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// examine asks the program about the machine.
func (m *machine) examine(ctx context.Context) (facts, error) {
	var d struct {
		facts
		OS, Arch string
		Features []struct {
			Name string
			Has  bool
		}
		Data []struct {
			Name, Where string
			OK          bool
		}
	}
	args := []string{"doctor", "--json"}
	if m.dataDir != "" {
		args = append(args, "--data-dir", m.dataDir)
	}
	out, err := exec.CommandContext(ctx, m.program, args...).Output()
	if err == nil {
		err = json.Unmarshal(out, &d)
	}
	if err != nil {
		return d.facts, fmt.Errorf("%s doctor --json: %w", m.program, err)
	}
	for _, f := range d.Features {
		if f.Has {
			d.Has = append(d.Has, f.Name)
		}
	}
	for _, one := range d.Data {
		if one.Name == fashion && one.OK {
			m.images = one.Where
		}
	}
	if m.processor != "" {
		d.CPU = m.processor
	}
	d.Threads, d.System, d.Revision = m.threads, d.OS+"/"+d.Arch, m.revision
	if !m.gpu() {
		d.GPU = ""
	}
	d.Build, err = digest(m.program)
	return d.facts, err
}

// digest distinguishes builds of a program.
func digest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil))[:12], nil
}
