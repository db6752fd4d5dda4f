package amxemu

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// wnothread waits for processes and threads traced by this thread alone, so
// that other children of the process are left to whoever started them.
const wnothread = 0x20000000

// The arguments of the request for permission to use tile data, feature 18, which the
// kernel requires before the first tile instruction.
const (
	archReqXCompPerm = 0x1023
	xtileData        = 18
)

// syscallStop is the signal of a stop at a system call, by PTRACE_O_TRACESYSGOOD.
const syscallStop = unix.SIGTRAP | 0x80

// A tracer runs one process. All its calls must come from one thread of this process.
type tracer struct {
	pid     int
	threads map[int]*thread
	granted bool                    // the process may use tile data
	code    map[uint64]*instruction // decoded instructions, by address
	outcome
}

// A thread is a thread of the process.
type thread struct {
	begun bool // its first stop, by SIGSTOP, is over
	tiles tiles
}

// run runs a program to its end and writes its output to out. An error means that the
// program could not be started or traced.
func run(args, env []string, out *os.File) (outcome, error) {
	// For the kernel the tracer is a thread. It stays locked, so it ends with this
	// goroutine, and then any process that it still traces ends too.
	type result struct {
		outcome
		err error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread()
		end, err := trace(args, env, out)
		done <- result{end, err}
	}()
	r := <-done
	return r.outcome, r.err
}

func trace(args, env []string, out *os.File) (outcome, error) {
	p, err := os.StartProcess(args[0], args, &os.ProcAttr{
		Env: env, Files: []*os.File{nil, out, out},
		Sys: &syscall.SysProcAttr{Ptrace: true},
	})
	if err != nil {
		return outcome{}, fmt.Errorf("starting a traced process: %w", err)
	}
	defer p.Release()
	t := &tracer{pid: p.Pid, threads: map[int]*thread{p.Pid: {begun: true}}, code: map[uint64]*instruction{}}
	var status unix.WaitStatus
	if _, err := t.wait(t.pid, &status); err != nil {
		return outcome{}, fmt.Errorf("waiting for a traced process: %w", err)
	}
	if !status.Stopped() {
		return outcome{}, errors.New("a process cannot be traced here")
	}
	options := unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_EXITKILL
	if err := unix.PtraceSetOptions(t.pid, options); err != nil {
		t.kill(p)
		return outcome{}, fmt.Errorf("tracing a process: %w", err)
	}
	if err := t.loop(); err != nil {
		t.kill(p)
		return outcome{}, err
	}
	return t.outcome, nil
}

// kill ends the process and waits until all its threads are gone.
func (t *tracer) kill(p *os.Process) {
	var status unix.WaitStatus
	p.Kill()
	for {
		if _, err := t.wait(-1, &status); err != nil {
			return
		}
	}
}

// wait waits for a traced thread, or with pid -1 for any.
func (t *tracer) wait(pid int, status *unix.WaitStatus) (int, error) {
	for {
		tid, err := unix.Wait4(pid, status, unix.WALL|wnothread, nil)
		if err != unix.EINTR {
			return tid, err
		}
	}
}

// loop handles every stop until the process ends.
func (t *tracer) loop() error {
	tid, signal := t.pid, unix.Signal(0)
	for {
		if err := t.resume(tid, signal); err != nil {
			return err
		}
		var status unix.WaitStatus
		var err error
		for stopped := false; !stopped; stopped = status.Stopped() {
			if tid, err = t.wait(-1, &status); err != nil {
				return fmt.Errorf("waiting for the traced process: %w", err)
			}
			if status.Stopped() {
				continue
			}
			delete(t.threads, tid)
			if tid == t.pid {
				t.outcome.code = status.ExitStatus()
				if status.Signaled() {
					t.outcome.signal = status.Signal().String()
				}
				return nil
			}
		}
		if signal, err = t.stop(tid, status); err != nil && !gone(err) {
			return err
		}
	}
}

// resume lets a stopped thread go on, with a signal or 0. Until permission for
// tiles is asked for, it stops at system calls.
func (t *tracer) resume(tid int, signal unix.Signal) error {
	var err error
	if t.granted {
		err = unix.PtraceCont(tid, int(signal))
	} else {
		err = unix.PtraceSyscall(tid, int(signal))
	}
	if err != nil && !gone(err) {
		return fmt.Errorf("resuming a traced thread: %w", err)
	}
	return nil
}

// gone reports whether err means that a thread was killed while it was stopped. wait
// will then report its end.
func gone(err error) bool { return errors.Is(err, unix.ESRCH) }

// stop handles one stop and returns the signal with which to resume the thread.
func (t *tracer) stop(tid int, status unix.WaitStatus) (unix.Signal, error) {
	th := t.threads[tid]
	if th == nil {
		th = &thread{}
		t.threads[tid] = th
	}
	switch signal := status.StopSignal(); {
	case signal == unix.SIGSTOP && !th.begun:
		th.begun = true
		return 0, nil
	case signal == syscallStop:
		return 0, t.permit(tid)
	case signal == unix.SIGTRAP && status.TrapCause() > 0: // the start of a thread
		return 0, nil
	case signal == unix.SIGILL:
		return t.emulate(tid, th)
	default:
		return signal, nil
	}
}

// permit grants permission to use tile data, at the end of the system call that asks for
// it.
func (t *tracer) permit(tid int) error {
	var r unix.PtraceRegs
	if err := unix.PtraceGetRegs(tid, &r); err != nil {
		return err
	}
	asked := r.Orig_rax == unix.SYS_ARCH_PRCTL && r.Rdi == archReqXCompPerm && r.Rsi == xtileData
	if beginning := -int64(r.Rax) == int64(unix.ENOSYS); !asked || beginning {
		return nil
	}
	r.Rax = 0
	t.granted = true
	return unix.PtraceSetRegs(tid, &r)
}

// emulate executes the tile instruction at which a thread has stopped and the tile
// instructions right after it. At any other instruction the signal stays SIGILL.
func (t *tracer) emulate(tid int, th *thread) (unix.Signal, error) {
	var info signalInfo
	var raw unix.PtraceRegs
	if err := info.get(tid); err != nil {
		return 0, err
	}
	if err := unix.PtraceGetRegs(tid, &raw); err != nil {
		return 0, err
	}
	if !info.byProcessor() || !t.granted {
		return unix.SIGILL, nil
	}
	mem := remote{t.pid}
	regs := registers{ip: raw.Rip, fs: raw.Fs_base, gs: raw.Gs_base, general: [16]uint64{
		raw.Rax, raw.Rcx, raw.Rdx, raw.Rbx, raw.Rsp, raw.Rbp, raw.Rsi, raw.Rdi,
		raw.R8, raw.R9, raw.R10, raw.R11, raw.R12, raw.R13, raw.R14, raw.R15}}
	for done := 0; ; done++ {
		in, err := t.at(regs.ip, mem)
		if err != nil {
			return 0, err
		}
		var fault error
		if in.op != none {
			fault = th.tiles.execute(in, &regs, mem)
		}
		if in.op != none && fault == nil {
			regs.ip += uint64(in.size)
			continue
		}
		if done > 0 { // the next instruction stops the thread again if necessary
			t.stops++
			t.instructions += done
			raw.Rip = regs.ip
			return 0, unix.PtraceSetRegs(tid, &raw)
		}
		return info.raise(tid, fault)
	}
}

// at returns the instruction at an address.
func (t *tracer) at(ip uint64, mem remote) (*instruction, error) {
	if in, ok := t.code[ip]; ok {
		return in, nil
	}
	var text [longest]byte
	n, err := mem.text(text[:], ip)
	if err != nil {
		return nil, err
	}
	in := decode(text[:n])
	t.code[ip] = &in
	return &in, nil
}

// A signalInfo is the kernel's siginfo_t.
type signalInfo [128]byte

// The fields of a signalInfo, and values of its code.
const (
	infoSignal, infoCode, infoAddress = 0, 8, 16
	codeMapErr, codeKernel            = 1, 0x80
)

func (s *signalInfo) get(tid int) error { return s.ptrace(unix.PTRACE_GETSIGINFO, tid) }

func (s *signalInfo) ptrace(request uintptr, tid int) error {
	_, _, e := unix.Syscall6(unix.SYS_PTRACE, request, uintptr(tid), 0, uintptr(unsafe.Pointer(s)), 0, 0)
	if e != 0 {
		return e
	}
	return nil
}

// byProcessor reports whether an instruction caused the signal, not a process that sent it.
func (s *signalInfo) byProcessor() bool { return int32(binary.LittleEndian.Uint32(s[infoCode:])) > 0 }

// raise turns the SIGILL at which a thread has stopped into the signal of a
// fault.
func (s *signalInfo) raise(tid int, fault error) (unix.Signal, error) {
	var code uint32
	var at uint64
	switch f := fault.(type) {
	case nil, undefined:
		return unix.SIGILL, nil
	case protection:
		code = codeKernel
	case pageFault:
		code, at = codeMapErr, f.at
	default:
		return 0, fault
	}
	*s = signalInfo{}
	binary.LittleEndian.PutUint32(s[infoSignal:], uint32(unix.SIGSEGV))
	binary.LittleEndian.PutUint32(s[infoCode:], code)
	binary.LittleEndian.PutUint64(s[infoAddress:], at)
	return unix.SIGSEGV, s.ptrace(unix.PTRACE_SETSIGINFO, tid)
}

// remote is the memory of a process. Accesses obey its page protections.
type remote struct{ pid int }

func (m remote) read(t *tile, at, stride uint64, rows, n int) error {
	// Every piece costs the kernel time, so rows that lie close together are read as one
	// piece with the bytes between them. Each of its pages has the beginning of a row, so
	// no page is read that the instruction would not read.
	var near [8192]byte
	if span := (rows-1)*int(stride) + n; stride <= 4096 && span <= len(near) && m.span(near[:span], at) {
		for r := range rows {
			copy(t[r][:n], near[r*int(stride):])
		}
		return nil
	}
	return transfer(unix.ProcessVMReadv, m.pid, t, at, stride, rows, n)
}

// span reads consecutive bytes and reports whether it could read all of them.
func (m remote) span(dst []byte, at uint64) bool {
	here := [1]unix.Iovec{{Base: &dst[0], Len: uint64(len(dst))}}
	there := [1]unix.RemoteIovec{{Base: uintptr(at), Len: len(dst)}}
	n, err := unix.ProcessVMReadv(m.pid, here[:], there[:], 0)
	return n == len(dst) && err == nil
}

func (m remote) write(t *tile, at, stride uint64, rows, n int) error {
	return transfer(unix.ProcessVMWritev, m.pid, t, at, stride, rows, n)
}

// transfer moves rows between a tile and a process in one system call.
func transfer(move func(int, []unix.Iovec, []unix.RemoteIovec, uint) (int, error), pid int, t *tile, at, stride uint64, rows, n int) error {
	var here [maxRows]unix.Iovec
	var there [maxRows]unix.RemoteIovec
	for r := range rows {
		here[r] = unix.Iovec{Base: &t[r][0], Len: uint64(n)}
		there[r] = unix.RemoteIovec{Base: uintptr(at + uint64(r)*stride), Len: n}
	}
	moved, err := move(pid, here[:rows], there[:rows], 0)
	switch {
	case err == unix.EFAULT:
		return pageFault{at}
	case err != nil:
		return inaccessible(err)
	case moved < rows*n:
		return pageFault{at + uint64(moved/n)*stride + uint64(moved%n)}
	}
	return nil
}

// inaccessible returns the error of a system on which a tracer may not access the memory.
func inaccessible(err error) error {
	return fmt.Errorf("reading and writing the memory of the traced process: %w", err)
}

// text reads code, up to the end of mapped memory, and returns its length.
func (m remote) text(dst []byte, at uint64) (int, error) {
	page := uint64(os.Getpagesize())
	here := []unix.Iovec{{Base: &dst[0], Len: uint64(len(dst))}}
	there := []unix.RemoteIovec{{Base: uintptr(at), Len: len(dst)}}
	if over := int64(at%page) + int64(len(dst)) - int64(page); over > 0 {
		there[0].Len -= int(over)
		there = append(there, unix.RemoteIovec{Base: uintptr(at + uint64(there[0].Len)), Len: int(over)})
	}
	n, err := unix.ProcessVMReadv(m.pid, here, there, 0)
	if err != nil && err != unix.EFAULT {
		return 0, inaccessible(err)
	}
	return max(n, 0), nil
}
