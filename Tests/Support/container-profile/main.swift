// SPDX-License-Identifier: Apache-2.0
//
// Runs a program as a container would: under the system call filter that Docker uses unless told otherwise
// (moby/profiles, seccomp/default.json, for x86-64 and a container without added capabilities), made a
// little stricter: no ptrace and no reading of other processes' memory, as on older kernels.
//
//     container-profile PROGRAM [ARGUMENTS …]

import CRawCalls
import CSeccomp
import Glibc

func fail(_ text: String) -> Never {
    let line = "container-profile: \(text)\n"
    write(2, line, line.utf8.count)
    exit(125)
}

let allow: UInt32 = 0x7FFF_0000
let refuse: UInt32 = 0x0005_0000 | UInt32(EPERM)
let noSuchCall: UInt32 = 0x0005_0000 | UInt32(ENOSYS)

guard CommandLine.arguments.count > 1 else { fail("which program?") }
guard let filter = seccomp_init(refuse) else { fail("no filter") }

func add(_ action: UInt32, _ name: String, _ tests: [scmp_arg_cmp] = []) {
    let number = seccomp_syscall_resolve_name(name)
    // Calls of other architectures, and those that this libseccomp does not know yet.
    guard number >= 0 else { return }
    let result = seccomp_rule_add_array(filter, action, number, UInt32(tests.count), tests)
    guard result == 0 || result == -EEXIST else { fail("\(name): \(result)") }
}

func equals(_ argument: UInt32, _ value: UInt64) -> scmp_arg_cmp {
    scmp_arg_cmp(arg: argument, op: SCMP_CMP_EQ, datum_a: value, datum_b: 0)
}

for name in ContainerProfile.allowed { add(allow, name) }
for family in ContainerProfile.socketFamilies { add(allow, "socket", [equals(0, family)]) }
for kind in ContainerProfile.personalities { add(allow, "personality", [equals(0, kind)]) }
let namespaces = ContainerProfile.namespaceFlags
add(allow, "clone", [scmp_arg_cmp(arg: 0, op: SCMP_CMP_MASKED_EQ, datum_a: namespaces, datum_b: 0)])
add(noSuchCall, "clone3")
guard seccomp_load(filter) == 0 else { fail("the filter cannot be loaded") }
seccomp_release(filter)

var words: [UnsafeMutablePointer<CChar>?] = CommandLine.arguments.dropFirst().map { strdup($0) }
words.append(nil)
let reason = raw_exec(&words)
fail("\(CommandLine.arguments[1]): \(String(cString: strerror(reason)))")
