"""The other side of the sandbox: a process that gives up what a program must not have, and then runs it.

Started by `sandbox` as a script of its own (``python -I -S sandbox_guard.py``): it imports the standard library alone.
First line of its input: the limits as JSON; the rest is the program. It writes one line to where its output was.
"""

import ctypes
import errno
import json
import os
import platform
import resource
import signal
import struct
import sys

SET_PARENT_DEATH_SIGNAL, SET_SECCOMP, SET_NO_NEW_PRIVILEGES = 1, 22, 38
FILTER_MODE = 2
ALLOW, KILL, REFUSE = 0x7FFF0000, 0x80000000, 0x00050000 | errno.EPERM
LOAD, JUMP_EQUAL, JUMP_ANY_BIT, RETURN = 0x20, 0x15, 0x45, 0x06
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

# What an interpreter needs to compute, to read its modules, and to end. No fork or thread, no socket, no signal to
# anyone, no file opened for writing, made, moved or removed, no limit changed, no device spoken to.
CALLS = {
    "x86_64": (
        0xC000003E,
        (0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 17, 19, 20, 21, 23, 24, 25, 28, 32, 33, 35, 39, 60, 63,
         79, 89, 96, 98, 99, 100, 102, 104, 107, 108, 110, 131, 137, 138, 186, 201, 202, 204, 217, 219, 228, 229, 230,
         231, 262, 267, 269, 270, 271, 273, 318, 324, 332, 334, 439),
        {2: 1, 257: 2},
    ),
    "aarch64": (
        0xC00000B7,
        (17, 23, 43, 44, 48, 57, 61, 62, 63, 64, 65, 66, 67, 72, 73, 78, 79, 80, 93, 94, 98, 99, 101, 113, 114, 115,
         123, 124, 128, 132, 134, 135, 139, 153, 160, 165, 169, 172, 173, 174, 175, 176, 177, 178, 179, 214, 215, 216,
         222, 226, 233, 278, 283, 291, 293, 439),
        {56: 2},
    ),
}  # fmt: skip
"""By machine: its audit number, the system calls let through, and those that open files with the place of the flags."""


def bpf(machine: str) -> bytes:
    """The filter as instructions of the kernel's packet filter. Source: seccomp(2), linux/seccomp.h."""
    audit, calls, opens = CALLS[machine]

    def step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
        return struct.pack("HBBI", code, if_true, if_false, value)

    parts = [step(LOAD, 4), step(JUMP_EQUAL, audit, 1, 0), step(RETURN, KILL), step(LOAD, 0)]
    for call, place in opens.items():
        parts += [
            step(JUMP_EQUAL, call, 0, 4),
            step(LOAD, 16 + 8 * place),
            step(JUMP_ANY_BIT, WRITING, 0, 1),
            step(RETURN, REFUSE),
            step(RETURN, ALLOW),
        ]
    for call in calls:
        parts += [step(JUMP_EQUAL, call, 0, 1), step(RETURN, ALLOW)]
    return b"".join([*parts, step(RETURN, REFUSE)])


CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
ASK_VERSION, PATH_BENEATH = 1, 1
READ_FILE, READ_DIR = 1 << 2, 1 << 3
FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 5: 16}
"""From which version of Landlock on the kernel knows how many rights over files: to read, write, make, move ..."""
LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache", "/usr/share/zoneinfo",
             "/etc/localtime")  # fmt: skip


def hide() -> bool:
    """Give up every file but those of the interpreter and its libraries; False where this kernel cannot.

    What was open before stays open. Source: landlock(7), linux/landlock.h.
    """
    if sys.platform != "linux":
        return False
    library = ctypes.CDLL(None, use_errno=True)
    library.syscall.restype = ctypes.c_long

    def call(number: int, *given: object) -> int:
        return int(library.syscall(ctypes.c_long(number), *given))

    version = call(CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint(ASK_VERSION))
    if version < 1:
        return False
    rights = (1 << max(count for least, count in FILE_RIGHTS.items() if version >= least)) - 1
    # Rights over files, over ports (from version 4 on), over signals and abstract sockets (from version 6 on).
    wanted = struct.pack("QQQ", rights, 3, 3)[: 24 if version >= 6 else 16 if version >= 4 else 8]
    ruleset = call(CREATE_RULESET, wanted, ctypes.c_size_t(len(wanted)), ctypes.c_uint(0))
    if ruleset < 0:
        return False
    for path in (os.path.dirname(os.__file__), os.path.join(sys.base_exec_prefix, "lib"), *LIBRARIES):
        if not os.path.exists(path):
            continue
        folder = os.open(path, os.O_PATH | os.O_CLOEXEC)
        allowed = READ_FILE | READ_DIR if os.path.isdir(path) else READ_FILE
        rule = struct.pack("=Qi", allowed, folder)
        call(ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(PATH_BENEATH), rule, ctypes.c_uint(0))
        os.close(folder)
    library.prctl(SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    done = call(RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint(0)) == 0
    os.close(ruleset)
    return done


def confine() -> bool:
    """Give up every system call but those of `CALLS`; False where this kernel or machine cannot."""
    machine = platform.machine()
    if sys.platform != "linux" or machine not in CALLS:
        return False
    program = bpf(machine)
    buffer = ctypes.create_string_buffer(program)
    described = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0:
        return False
    done: bool = library.prctl(SET_SECCOMP, FILTER_MODE, ctypes.c_char_p(described), 0, 0) == 0
    return done


def patch() -> None:
    """Where the kernel cannot confine: take the same away from Python's own modules. A program can get round it."""

    def refuse(*given: object, **named: object) -> None:
        raise PermissionError(errno.EPERM, "not in the sandbox")

    import builtins
    import io
    import socket
    import subprocess

    plain_open = builtins.open

    def read_only(file: object, mode: str = "r", *more: object, **named: object) -> object:
        if set(mode) & set("wax+"):
            refuse()
        return plain_open(file, mode, *more, **named)  # type: ignore[call-overload]

    builtins.open = io.open = read_only  # type: ignore[assignment]
    names = "fork forkpty kill killpg system popen remove unlink rename replace rmdir mkdir makedirs truncate chmod "
    for name in (names + "chown symlink link open posix_spawn posix_spawnp execv execve putenv setuid").split():
        if hasattr(os, name):
            setattr(os, name, refuse)
    for module, found in ((socket, "socket create_connection socketpair"), (subprocess, "Popen run call check_output")):
        for name in found.split():
            setattr(module, name, refuse)


def limit(limits: dict[str, int]) -> None:
    """Bound time, memory, processes, files and what is written."""
    bounds = {
        "RLIMIT_CPU": limits["seconds"],
        "RLIMIT_AS": limits["memory_bytes"],
        "RLIMIT_FSIZE": limits["output_bytes"],
        "RLIMIT_NOFILE": 32,
        "RLIMIT_NPROC": 1,
        "RLIMIT_CORE": 0,
    }
    for name, bound in bounds.items():
        number = getattr(resource, name, None)
        if number is not None:
            given = resource.getrlimit(number)[1]
            most = bound if given == resource.RLIM_INFINITY else min(bound, given)
            # Who does not hear the first word of the kernel about its time is killed a second later.
            later = most + 1 if name == "RLIMIT_CPU" and (given == resource.RLIM_INFINITY or most < given) else most
            resource.setrlimit(number, (most, later))


def main() -> None:
    """Read the program, give everything up, run it, and say how it ended."""
    given = sys.stdin.buffer.read()
    head, _, source = given.partition(b"\n")
    settings = json.loads(head)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    verdict = os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    limit(settings)
    hidden, confined = hide(), confine()
    if not confined:
        patch()
    # What a program puts in their place is not called.
    write, leave = os.write, os._exit
    write(verdict, f"{'confined' if confined else 'patched'} {'hidden' if hidden else 'seeing'}\n".encode())
    try:
        code = compile(source, "<program>", "exec")
        exec(code, {"__name__": "program"})
    except BaseException as problem:  # the program's own, SystemExit too: whatever it is, it did not pass
        said = f"{type(problem).__name__}: {problem}"[:200].replace("\n", " ")
        if said.startswith("passed "):
            said = "an error that calls itself passed"
    else:
        said = f"passed {settings['token']}"
    write(verdict, said.encode("utf-8", "replace"))
    leave(0)


if __name__ == "__main__":
    main()
