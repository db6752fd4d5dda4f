#!/usr/bin/env python3
"""Compiles the CUDA sources of this folder to sm_80.ptx.gz and sm_90.ptx.gz, which the
program embeds. Commit its output with the sources.

It needs neither a GPU nor a CUDA installation, but these packages of NVIDIA's:

    python3 -m venv /tmp/nvrtc
    /tmp/nvrtc/bin/pip install nvidia-cuda-nvrtc-cu12==12.0.140 nvidia-cuda-nvcc-cu12==12.9.86
    /tmp/nvrtc/bin/python make.py

NVRTC 12.0 writes PTX 8.0, which drivers from 525.60 on (CUDA 12.0) understand. Each
file is then assembled by ptxas, as the driver will do, to see that it can be and what
the kernels take; a kernel that spills many registers is an error.
"""

import ctypes
import glob
import gzip
import hashlib
import os
import re
import subprocess
import sys
import sysconfig
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
NVIDIA = os.path.join(sysconfig.get_paths()["purelib"], "nvidia")
SOURCES = sorted(glob.glob(os.path.join(HERE, "*.cu")))
TARGETS = ["80", "90"]


def find(pattern):
    found = sorted(glob.glob(os.path.join(NVIDIA, pattern)))
    if not found:
        sys.exit(f"make.py: no {pattern} in {NVIDIA}: install the packages named at its top")
    return found[0]


def compile(nvrtc, target):
    """Returns the PTX of all sources together."""
    text = "".join(f'#include "{os.path.basename(s)}"\n' for s in SOURCES).encode()
    program = ctypes.c_void_p()
    check(nvrtc, nvrtc.nvrtcCreateProgram(ctypes.byref(program), text, b"kernels.cu", 0, None, None))
    options = [f"--gpu-architecture=compute_{target}", f"--include-path={HERE}", "--std=c++14", "--fmad=true"]
    words = (ctypes.c_char_p * len(options))(*(o.encode() for o in options))
    status = nvrtc.nvrtcCompileProgram(program, len(options), words)
    size = ctypes.c_size_t()
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    if log.value.strip():
        print(log.value.decode())
    check(nvrtc, status)
    check(nvrtc, nvrtc.nvrtcGetPTXSize(program, ctypes.byref(size)))
    ptx = ctypes.create_string_buffer(size.value)
    check(nvrtc, nvrtc.nvrtcGetPTX(program, ptx))
    return ptx.value.decode()


def check(nvrtc, status):
    if status:
        nvrtc.nvrtcGetErrorString.restype = ctypes.c_char_p
        sys.exit(f"make.py: NVRTC: {nvrtc.nvrtcGetErrorString(status).decode()}")


def assemble(ptxas, text, target):
    """Prints what ptxas says of each kernel."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "kernels.ptx")
        with open(path, "wb") as f:
            f.write(text)
        out = os.path.join(folder, "kernels.cubin")
        r = subprocess.run([ptxas, "-v", f"-arch=sm_{target}", path, "-o", out], capture_output=True, text=True)
        if r.returncode:
            sys.exit(f"make.py: ptxas: {r.stderr}")
        name = ""
        for line in r.stderr.splitlines():
            if m := re.search(r"Compiling entry function '(\w+)'", line):
                name = m[1]
            if m := re.search(r"(\d+) bytes spill stores", line):
                if int(m[1]) > 64:
                    sys.exit(f"make.py: {name} spills {m[1]} bytes of registers")
            if m := re.search(r"Used (\d+) registers", line):
                shared = re.search(r"(\d+) bytes smem", line)
                print(f"  sm_{target} {name}: {m[1]} registers, {shared[1] if shared else 0} bytes of shared memory")


def digest():
    """The digest of the sources, by which a test sees that the output is theirs."""
    h = hashlib.sha256()
    for path in sorted(SOURCES + glob.glob(os.path.join(HERE, "*.cuh"))):
        with open(path, "rb") as f:
            h.update(os.path.basename(path).encode() + b"\0" + f.read() + b"\0")
    return h.hexdigest()


def main():
    nvrtc = ctypes.CDLL(find("cuda_nvrtc/lib/libnvrtc.so.12"))
    ptxas = find("cuda_nvcc/bin/ptxas")
    for target in TARGETS:
        ptx = re.sub(r"//.*", "", compile(nvrtc, target))
        ptx = re.sub(r"\n\s*\n+", "\n", ptx).strip()
        text = f"// Written by make.py. Sources: {digest()}\n{ptx}\n".encode()
        path = os.path.join(HERE, f"sm_{target}.ptx.gz")
        with open(path, "wb") as f:
            f.write(gzip.compress(text, mtime=0))
        print(f"{path}: {os.path.getsize(path)} bytes of {len(text)}")
        assemble(ptxas, text, target)


main()
