//go:build cuda

// Package driver is the part of CUDA's driver API that package cuda uses, as a table of
// functions. Open fills it from the driver of the machine; tests fill it with functions of
// their own.
package driver

import (
	"bytes"
	"fmt"
	"unsafe"
)

// Result is CUresult, the result of a call; Success is 0.
type Result int32

// The results that package cuda distinguishes. cuda.h has all of them.
const (
	Success     Result = 0
	OutOfMemory Result = 2
	NoDevice    Result = 100
	NotFound    Result = 500
)

// The handles and addresses of the driver.
type (
	Device   int32
	Context  uintptr
	Module   uintptr
	Function uintptr
	Stream   uintptr
	Graph    uintptr
	Exec     uintptr // an instantiated graph
	Event    uintptr
	Pointer  uint64 // device memory
)

// Attributes of devices, from cuda.h.
const (
	Multiprocessors = 16
	CapabilityMajor = 75
	CapabilityMinor = 76
)

// SharedMemory is the attribute, from cuda.h, that allows a function more dynamic shared
// memory than the 48 KiB that need no permission.
const SharedMemory = 8

// API is the table of functions. The tag of each is its name in CUDA's documentation.
type API struct {
	Init             func(flags uint32) Result                                                                               `cu:"cuInit"`
	GetVersion       func(version *int32) Result                                                                             `cu:"cuDriverGetVersion"`
	ErrorName        func(r Result, text **byte) Result                                                                      `cu:"cuGetErrorName"`
	ErrorString      func(r Result, text **byte) Result                                                                      `cu:"cuGetErrorString"`
	DeviceCount      func(n *int32) Result                                                                                   `cu:"cuDeviceGetCount"`
	DeviceGet        func(d *Device, index int32) Result                                                                     `cu:"cuDeviceGet"`
	DeviceName       func(name *byte, n int32, d Device) Result                                                              `cu:"cuDeviceGetName"`
	DeviceAttribute  func(value *int32, attribute int32, d Device) Result                                                    `cu:"cuDeviceGetAttribute"`
	DeviceMemory     func(bytes *uint64, d Device) Result                                                                    `cu:"cuDeviceTotalMem_v2"`
	ContextRetain    func(c *Context, d Device) Result                                                                       `cu:"cuDevicePrimaryCtxRetain"`
	ContextRelease   func(d Device) Result                                                                                   `cu:"cuDevicePrimaryCtxRelease_v2"`
	ContextSet       func(c Context) Result                                                                                  `cu:"cuCtxSetCurrent"`
	MemInfo          func(free, total *uint64) Result                                                                        `cu:"cuMemGetInfo_v2"`
	MemAlloc         func(p *Pointer, bytes uint64) Result                                                                   `cu:"cuMemAlloc_v2"`
	MemFree          func(p Pointer) Result                                                                                  `cu:"cuMemFree_v2"`
	MemSet           func(p Pointer, word uint32, words uint64, s Stream) Result                                             `cu:"cuMemsetD32Async"`
	CopyTo           func(to Pointer, from unsafe.Pointer, n uint64, s Stream) Result                                        `cu:"cuMemcpyHtoDAsync_v2"`
	CopyFrom         func(to unsafe.Pointer, from Pointer, n uint64, s Stream) Result                                        `cu:"cuMemcpyDtoHAsync_v2"`
	StreamCreate     func(s *Stream, flags uint32) Result                                                                    `cu:"cuStreamCreate"`
	StreamDestroy    func(s Stream) Result                                                                                   `cu:"cuStreamDestroy_v2"`
	StreamWait       func(s Stream) Result                                                                                   `cu:"cuStreamSynchronize"`
	HostAlloc        func(p *unsafe.Pointer, bytes uint64, flags uint32) Result                                              `cu:"cuMemHostAlloc"`
	HostFree         func(p unsafe.Pointer) Result                                                                           `cu:"cuMemFreeHost"`
	EventCreate      func(e *Event, flags uint32) Result                                                                     `cu:"cuEventCreate"`
	EventDestroy     func(e Event) Result                                                                                    `cu:"cuEventDestroy_v2"`
	EventRecord      func(e Event, s Stream) Result                                                                          `cu:"cuEventRecord"`
	EventWait        func(e Event) Result                                                                                    `cu:"cuEventSynchronize"`
	StreamAfter      func(s Stream, e Event, flags uint32) Result                                                            `cu:"cuStreamWaitEvent"`
	ModuleLoad       func(m *Module, image unsafe.Pointer, n uint32, options *int32, values *unsafe.Pointer) Result          `cu:"cuModuleLoadDataEx"`
	ModuleUnload     func(m Module) Result                                                                                   `cu:"cuModuleUnload"`
	ModuleFunction   func(f *Function, m Module, name string) Result                                                         `cu:"cuModuleGetFunction"`
	FunctionSet      func(f Function, attribute, value int32) Result                                                         `cu:"cuFuncSetAttribute"`
	Launch           func(f Function, gx, gy, gz, bx, by, bz, shared uint32, s Stream, params, extra *unsafe.Pointer) Result `cu:"cuLaunchKernel"`
	CaptureBegin     func(s Stream, mode int32) Result                                                                       `cu:"cuStreamBeginCapture_v2"`
	CaptureEnd       func(s Stream, g *Graph) Result                                                                         `cu:"cuStreamEndCapture"`
	GraphInstantiate func(e *Exec, g Graph, flags uint64) Result                                                             `cu:"cuGraphInstantiateWithFlags"`
	GraphLaunch      func(e Exec, s Stream) Result                                                                           `cu:"cuGraphLaunch"`
	GraphDestroy     func(g Graph) Result                                                                                    `cu:"cuGraphDestroy"`
	ExecDestroy      func(e Exec) Result                                                                                     `cu:"cuGraphExecDestroy"`
}

// Error is the error of a failed call of the driver.
type Error struct {
	Call   string // such as "cuMemAlloc"
	Result Result
	Name   string // the driver's name of the error, such as CUDA_ERROR_OUT_OF_MEMORY
	Text   string // the driver's description of it
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s: %s (%d): %s", e.Call, e.Name, e.Result, e.Text)
}

// Check returns nil for Success, and otherwise an *Error with the driver's name and
// description of the result. call is the name of the function that returned it.
func (a *API) Check(call string, r Result) error {
	if r == Success {
		return nil
	}
	e := &Error{Call: call, Result: r, Name: "an error without a name", Text: "the driver has no words for it"}
	var text *byte
	if a.ErrorName != nil && a.ErrorName(r, &text) == Success && text != nil {
		e.Name = goString(text)
	}
	text = nil
	if a.ErrorString != nil && a.ErrorString(r, &text) == Success && text != nil {
		e.Text = goString(text)
	}
	return e
}

// goString copies a C string.
func goString(p *byte) string {
	n := 0
	for *(*byte)(unsafe.Add(unsafe.Pointer(p), n)) != 0 {
		n++
	}
	return string(unsafe.Slice(p, n))
}

// Text returns the bytes of a buffer before the first 0, as the driver writes strings.
func Text(b []byte) string {
	before, _, _ := bytes.Cut(b, []byte{0})
	return string(before)
}

// Version formats a version number of the driver as CUDA's documentation does: 12040
// is "12.4".
func Version(n int32) string { return fmt.Sprintf("%d.%d", n/1000, n%1000/10) }
