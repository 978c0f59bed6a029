// SPDX-License-Identifier: Apache-2.0
//
// Enters the sandbox and tries what it is to refuse and what it is to allow, on the first thread, on one that
// was there before and on one that came later. One line each: thread, name, result.
//
//     sandbox-probe [internet]

import CRawCalls
import Glibc
import LguestKit

/// A call with arguments, by the kernel's number (x86-64).
struct Attempt: Sendable {
    let name: String
    let number: Int
    var arguments: [Int] = []

    func result() -> Int {
        let all = arguments + [Int](repeating: 0, count: 6 - arguments.count)
        return raw_call(number, all[0], all[1], all[2], all[3], all[4], all[5])
    }
}

nonisolated(unsafe) let path = strdup("/etc/resolv.conf")
nonisolated(unsafe) let other = strdup("/etc/passwd")
let pathNumber = Int(bitPattern: path)
let otherNumber = Int(bitPattern: other)
let anonymous = 0x22
// Made before: a page to ask execution for, and space for a file's status.
nonisolated(unsafe) let page = mmap(nil, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | Int32(anonymous), -1, 0)
let pageNumber = Int(bitPattern: page)

let attempts = [
    Attempt(name: "getpid", number: 39),
    Attempt(name: "mmap rw", number: 9, arguments: [0, 4096, 3, anonymous, -1, 0]),
    Attempt(name: "mmap rx", number: 9, arguments: [0, 4096, 5, anonymous, -1, 0]),
    Attempt(name: "mmap rwx", number: 9, arguments: [0, 4096, 7, anonymous, -1, 0]),
    Attempt(name: "mmap wx", number: 9, arguments: [0, 4096, 6, anonymous, -1, 0]),
    Attempt(name: "mprotect r", number: 10, arguments: [pageNumber, 4096, 1]),
    Attempt(name: "mprotect rx", number: 10, arguments: [pageNumber, 4096, 5]),
    Attempt(name: "mprotect rw", number: 10, arguments: [pageNumber, 4096, 3]),
    Attempt(name: "openat resolv.conf", number: 257, arguments: [-100, pathNumber, 0]),
    Attempt(name: "newfstatat resolv.conf", number: 262, arguments: [-100, pathNumber, pageNumber, 0]),
    Attempt(name: "openat passwd", number: 257, arguments: [-100, otherNumber, 0]),
    Attempt(name: "open", number: 2, arguments: [otherNumber, 0]),
    Attempt(name: "unlink", number: 87, arguments: [otherNumber]),
    Attempt(name: "socket inet", number: 41, arguments: [2, 1, 0]),
    Attempt(name: "socket unix", number: 41, arguments: [1, 1, 0]),
    Attempt(name: "socket netlink", number: 41, arguments: [16, 3, 0]),
    Attempt(name: "execve", number: 59, arguments: [otherNumber, 0, 0]),
    Attempt(name: "fork", number: 57),
    Attempt(name: "clone process", number: 56, arguments: [17]),
    Attempt(name: "clone3", number: 435, arguments: [pageNumber, 64]),
    Attempt(name: "unshare", number: 272, arguments: [0x1000_0000]),
    Attempt(name: "ptrace", number: 101),
    Attempt(name: "process_vm_readv", number: 310, arguments: [1]),
    Attempt(name: "userfaultfd", number: 323),
    Attempt(name: "io_uring_setup", number: 425, arguments: [1, pageNumber]),
    Attempt(name: "bpf", number: 321),
    Attempt(name: "kill init", number: 62, arguments: [1, 0]),
    Attempt(name: "kill ourselves with 0", number: 62, arguments: [Int(getpid()), 0]),
    Attempt(name: "setuid", number: 105, arguments: [0]),
    Attempt(name: "mount", number: 165),
    Attempt(name: "TIOCSTI", number: 16, arguments: [0, 0x5412, pageNumber]),
    Attempt(name: "prctl dumpable", number: 157, arguments: [4, 1]),
    Attempt(name: "seccomp", number: 317, arguments: [3]),
]

func tryAll(_ thread: String) {
    var text = ""
    for attempt in attempts {
        let result = attempt.result()
        text += "\(thread): \(attempt.name): \(result >= 0 ? "ok" : "errno \(-result)")\n"
    }
    write(1, text, text.utf8.count)
}

/// A thread that runs `body` after a byte has come through the pipe, with SIGSYS as it is.
func startThread(_ body: @escaping @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer?)
    -> pthread_t
{
    var thread = pthread_t()
    guard pthread_create(&thread, nil, body, nil) == 0 else {
        print("no thread")
        exit(1)
    }
    return thread
}

nonisolated(unsafe) var ends: [Int32] = [-1, -1]
guard pipe(&ends) == 0 else { exit(1) }
let earlier = startThread { _ in
    var byte: UInt8 = 0
    _ = read(ends[0], &byte, 1)
    tryAll("earlier")
    return nil
}
var needs = SandboxNeeds()
needs.opensSockets = CommandLine.arguments.dropFirst().first == "internet"
do throws(LguestError) {
    try Sandbox.enter(needs)
} catch {
    print(error.description)
    exit(2)
}
tryAll("first")
_ = write(ends[1], "x", 1)
pthread_join(earlier, nil)
pthread_join(
    startThread { _ in
        tryAll("later")
        return nil
    }, nil)
