#!/usr/bin/env python3
"""hlsl.py LIBRARY FILE...: compiles HLSL compute shaders with DXC's library.

LIBRARY is libdxcompiler.so. Each file's entry point is `main`, its shader model 6.0. Prints the errors of
a file that does not compile, and exits with 1.
"""

import ctypes
import sys
import uuid

# Every warning is an error, but for one about the parentheses that naga writes.
ARGUMENTS = ["-T", "cs_6_0", "-E", "main", "-HV", "2018", "-WX", "-Wno-parentheses-equality"]
UTF_8 = 65001
# Places of methods in the tables of DXC's interfaces. Three methods of COM stand first, and outside
# Windows two destructors after them.
COMPILE = 5
STATUS, RESULT, ERRORS = 5, 6, 7
POINTER, SIZE = 5, 6


class Text(ctypes.Structure):
    _fields_ = [("at", ctypes.c_char_p), ("size", ctypes.c_size_t), ("encoding", ctypes.c_uint32)]


def identity(text):
    return (ctypes.c_ubyte * 16).from_buffer_copy(uuid.UUID(text).bytes_le)


def method(thing, place, result, *arguments):
    """A method of a COM object: an address in the table that the object begins with."""
    table = ctypes.cast(thing, ctypes.POINTER(ctypes.POINTER(ctypes.c_void_p))).contents
    kind = ctypes.CFUNCTYPE(result, ctypes.c_void_p, *(type(one) for one in arguments))
    return kind(table[place])(thing, *arguments)


def address(of):
    return ctypes.c_void_p(ctypes.addressof(of))


class Compiler:
    def __init__(self, library):
        create = ctypes.CDLL(library).DxcCreateInstance
        self.compiler = ctypes.c_void_p()
        failed = create(
            identity("73e22d93-e6ce-47f3-b5bf-f0664f39c1b0"),
            identity("228b4687-5a6a-4730-900c-9702b2203f54"),
            ctypes.byref(self.compiler),
        )
        if failed or not self.compiler:
            sys.exit(f"{library} has no compiler (status {failed:#x})")

    def compile(self, source):
        """The size of the compiled shader, and what the compiler said."""
        text = Text(source, len(source), UTF_8)
        words = (ctypes.c_wchar_p * len(ARGUMENTS))(*ARGUMENTS)
        interface = identity("58346cda-dde7-4497-9461-6f87af5e0659")
        result = ctypes.c_void_p()
        method(
            self.compiler, COMPILE, ctypes.c_int, address(text), address(words),
            ctypes.c_uint32(len(ARGUMENTS)), ctypes.c_void_p(), address(interface), address(result),
        )
        if not result:
            sys.exit("DXC gave no result")
        status = ctypes.c_int()
        method(result, STATUS, ctypes.c_int, address(status))
        said = self.blob(result, ERRORS).decode(errors="replace").strip("\0 \n")
        return (0 if status.value else len(self.blob(result, RESULT))), said

    def blob(self, result, place):
        found = ctypes.c_void_p()
        method(result, place, ctypes.c_int, address(found))
        if not found:
            return b""
        at = method(found, POINTER, ctypes.c_void_p)
        return ctypes.string_at(at, method(found, SIZE, ctypes.c_size_t))


def main(library, *files):
    compiler = Compiler(library)
    failed = 0
    for file in files:
        with open(file, "rb") as opened:
            size, said = compiler.compile(opened.read())
        if size == 0:
            failed += 1
            print(f"{file}:\n{said}", file=sys.stderr)
    print(f"{len(files) - failed} of {len(files)} HLSL files compile")
    sys.exit(1 if failed or not files else 0)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
