package amxemu

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// codeBuffer collects machine code.
type codeBuffer []byte

// set loads a register with a number.
func (p *codeBuffer) set(reg int, v uint64) {
	*p = append(*p, 0x48|byte(reg>>3), 0xb8|byte(reg&7))
	*p = binary.LittleEndian.AppendUint64(*p, v)
}

func (p *codeBuffer) add(t *testing.T, hex ...string) {
	for _, h := range hex {
		*p = append(*p, unhex(t, h)...)
	}
}

// run makes a function of the code and calls it. The code may use the registers
// that Go's functions may, all but RSP, RBP and R14.
func (p codeBuffer) run(t *testing.T) {
	t.Helper()
	m, err := unix.Mmap(-1, 0, unix.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	copy(m, append(p, 0xc3)) // RET
	if err := unix.Mprotect(m, unix.PROT_READ|unix.PROT_EXEC); err != nil {
		t.Skipf("code cannot be made here: %v", err)
	}
	closure := &[1]unsafe.Pointer{unsafe.Pointer(&m[0])}
	(*(*func())(unsafe.Pointer(&closure)))()
}

func ask() { unix.RawSyscall(unix.SYS_ARCH_PRCTL, archReqXCompPerm, xtileData, 0) }

// page returns a page of memory followed by one that cannot be read.
func page(t *testing.T) []byte {
	t.Helper()
	size := unix.Getpagesize()
	m, err := unix.Mmap(-1, 0, 2*size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Mprotect(m[size:], unix.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	return m[:size]
}

func place(b []byte) uint64 { return uint64(uintptr(unsafe.Pointer(&b[0]))) }

const (
	loadConfig  = "c4e2784900" // ldtilecfg [rax]
	zeroTile0   = "c4e27b49c0"
	releaseAll  = "c4e27849c0"
	loadTile0   = "c4827b4b0408"   // tileloadd tmm0, [r8+r9]
	loadTile1   = "c4a27b4b4c6720" // tileloadd tmm1, [rdi+r12*2+32]
	loadTile2   = "c4e27b4b540e80" // tileloadd tmm2, [rsi+rcx-128]
	product012  = "c4e26a5cc1"     // tdpbf16ps tmm0, tmm1, tmm2
	storeTile0  = "c4827a4b0408"   // tilestored [r8+r9], tmm0
	undefined2  = "0f0b"           // ud2
	sequenceVar = "RESIDUAL_TEST_AMX_SEQUENCE"
	begun       = "another thread begins"
)

// configure begins a program with a configuration, which lies in memory.
func configure(t *testing.T, memory []byte, shapes ...shape) *codeBuffer {
	c := configuration(shapes...)
	copy(memory, c[:])
	p := &codeBuffer{}
	p.set(rax, place(memory))
	p.add(t, loadConfig)
	return p
}

// caught is the address of the fault that f ends with.
func caught(f func()) (at uintptr, fault bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if e, ok := recover().(interface{ Addr() uintptr }); ok {
			at, fault = e.Addr(), true
		}
	}()
	f()
	return 0, false
}

// sequences are what traced processes do and how they end.
var sequences = map[string]struct {
	want string
	do   func(t *testing.T)
}{
	"product": {"PASS", func(t *testing.T) {
		ask()
		m := page(t)
		p := configure(t, m, shape{3, 8}, shape{3, 4}, shape{1, 8})
		c, a, b := m[64:], m[256:], m[512:]
		for r := range 3 {
			for j := range 2 {
				binary.LittleEndian.PutUint32(c[12*r+4*j:], math.Float32bits(float32(10*r+j)))
			}
			binary.LittleEndian.PutUint32(a[10*r:], math.Float32bits(float32(r+1))|math.Float32bits(2)>>16)
		}
		for j := range 2 {
			binary.LittleEndian.PutUint32(b[4*j:], math.Float32bits(float32(j+3))|math.Float32bits(0.5)>>16)
		}
		p.set(r8, place(c))
		p.set(r9, 12)
		p.set(rdi, place(a)-32)
		p.set(r12, 5)
		p.set(rsi, place(b)+128)
		p.set(rcx, 0)
		p.add(t, loadTile0, loadTile1, loadTile2, product012, storeTile0, releaseAll)
		p.run(t)
		for r := range 3 {
			for j := range 2 {
				want := float32(10*r+j) + float32(r+1)*float32(j+3) + 1
				if got := math.Float32frombits(binary.LittleEndian.Uint32(c[12*r+4*j:])); got != want {
					t.Errorf("c[%d,%d] = %v, want %v", r, j, got, want)
				}
			}
			if gap := binary.LittleEndian.Uint32(c[12*r+8:]); gap != 0 {
				t.Errorf("the store wrote %#x beside row %d", gap, r)
			}
		}
	}},
	"no permission": {"SIGILL", func(t *testing.T) {
		configure(t, page(t), shape{1, 4}).run(t)
	}},
	"not configured": {"SIGILL", func(t *testing.T) {
		ask()
		p := codeBuffer{}
		p.add(t, zeroTile0)
		p.run(t)
	}},
	"released": {"SIGILL", func(t *testing.T) {
		ask()
		p := configure(t, page(t), shape{1, 4})
		p.add(t, zeroTile0, releaseAll, zeroTile0)
		p.run(t)
	}},
	"another thread": {"SIGILL", func(t *testing.T) {
		ask()
		runtime.LockOSThread()
		configure(t, page(t), shape{1, 4}).run(t)
		use := codeBuffer{}
		use.add(t, zeroTile0)
		use.run(t) // on the thread with tiles
		done := make(chan bool)
		go func() {
			runtime.LockOSThread()
			fmt.Println(begun)
			use.run(t)
			close(done)
		}()
		<-done
	}},
	"another instruction": {"SIGILL", func(t *testing.T) {
		ask()
		p := codeBuffer{}
		p.add(t, undefined2)
		p.run(t)
	}},
	"bad configuration": {"PASS", func(t *testing.T) {
		ask()
		p := configure(t, page(t), shape{17, 4})
		if at, fault := caught(func() { p.run(t) }); !fault {
			t.Errorf("no fault, but %#x", at)
		}
	}},
	"unreadable": {"PASS", func(t *testing.T) {
		ask()
		m := page(t)
		p := configure(t, m, shape{16, 64})
		p.set(r8, place(m)+uint64(len(m))-15*64-63) // the last row by one byte
		p.set(r9, 64)
		load, store := append(codeBuffer{}, *p...), *p
		load.add(t, loadTile0)
		store.add(t, storeTile0)
		for name, q := range map[string]codeBuffer{"load": load, "store": store} {
			at, fault := caught(func() { q.run(t) })
			if want := uintptr(place(m)) + uintptr(len(m)); !fault || at != want {
				t.Errorf("%s: fault %v at %#x, want %#x", name, fault, at, want)
			}
		}
	}},
	"signal from outside": {"PASS", func(t *testing.T) {
		ask()
		got := make(chan os.Signal, 1)
		signal.Notify(got, unix.SIGILL)
		if err := unix.Kill(os.Getpid(), unix.SIGILL); err != nil {
			t.Fatal(err)
		}
		<-got
	}},
	"another process": {"PASS", func(t *testing.T) {
		ask()
		if out, err := exec.Command("/proc/self/exe", "-test.run=^$").CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}},
	"stopped": {"signal terminated", func(t *testing.T) {
		ask()
		signal.Reset(unix.SIGTERM)
		unix.Kill(os.Getpid(), unix.SIGTERM)
		select {}
	}},
	"left": {"exit code 7", func(t *testing.T) { os.Exit(7) }},
}

// TestTrace runs every sequence in a process of its own.
func TestTrace(t *testing.T) {
	if name := os.Getenv(sequenceVar); name != "" {
		sequences[name].do(t)
		return
	}
	for name, s := range sequences {
		t.Run(name, func(t *testing.T) {
			out, err := os.Create(filepath.Join(t.TempDir(), "out"))
			if err != nil {
				t.Fatal(err)
			}
			defer out.Close()
			args := []string{"/proc/self/exe", "-test.run=^TestTrace$", "-test.v", "-test.timeout=1m"}
			end, err := run(args, append(os.Environ(), sequenceVar+"="+name), out)
			if err != nil {
				t.Skipf("cannot emulate AMX: %v", err)
			}
			text, err := os.ReadFile(out.Name())
			if err != nil {
				t.Fatal(err)
			}
			if name == "another thread" && !strings.Contains(string(text), begun) {
				t.Errorf("it ended before the other thread began:\n%s", text)
			}
			got := fmt.Sprint(end)
			switch {
			case end.code == 0:
				got = verdict(text, "TestTrace")
			case strings.Contains(string(text), "SIGILL: illegal instruction"):
				got = "SIGILL"
			}
			if got != s.want {
				t.Errorf("ended with %s, want %s:\n%s", got, s.want, text)
			}
		})
	}
}
