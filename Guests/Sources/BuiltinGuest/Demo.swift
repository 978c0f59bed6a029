// SPDX-License-Identifier: Apache-2.0
//
// `demo` on the command line: a few of the shell's commands with a word of explanation each, for somebody who
// sees a paravirtual guest for the first time.

enum Demo {
    static func run() {
        say("")
        say("I run in ring 1: I may not touch the real page tables, interrupts or ports, so I ask for them.")
        step("One `int $0x1F` is one request, a hypercall. These got me here:", "hypercalls")
        step("Traps come back to me through gates that I handed in; here are three on purpose:", "traps")
        step("Memory that appears when it is touched:", "pagefault")
        step("A program in ring 3, and its way back into my kernel:", "user")
        step("Requests that can wait go through a ring in shared memory, without trapping:", "async")
        step("The clock rings once, when I asked for it:", "timer 10")
        say("")
        say("That is all there is to it. Now I switch myself off, with hypercall SHUTDOWN.")
    }

    private static func step(_ explanation: Text, _ command: Text) {
        say("")
        say(explanation)
        Shell.execute(command)
    }
}
