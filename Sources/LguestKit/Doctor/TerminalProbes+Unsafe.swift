// SPDX-License-Identifier: Apache-2.0
//
// Where a guest's console can be.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

enum TerminalProbes {
    static func all() -> [Finding] { [terminal(), pseudoTerminal()] }

    /// Sets the terminal's modes to what they are: if that works, raw mode will.
    private static func terminal() -> Finding {
        guard isatty(STDIN_FILENO) == 1 else {
            return Finding(
                "terminal", .limited, "standard input is none",
                cost: "no raw keys: input goes to the guest as it comes, and Ctrl-C ends lguest",
                remedy: "run it in a terminal (docker run -it), or take --console=pty")
        }
        var modes = termios()
        // SAFETY: both functions only access the structure that they are given, which is ours.
        guard tcgetattr(STDIN_FILENO, &modes) == 0, tcsetattr(STDIN_FILENO, TCSANOW, &modes) == 0 else {
            return Finding(
                "terminal", .limited, "its modes cannot be set: \(HostPrograms.message(errno))",
                cost: "keys reach the guest line by line", remedy: "run it in the foreground of a terminal")
        }
        return Finding("terminal", works: "its modes can be set")
    }

    private static func pseudoTerminal() -> Finding {
        do throws(LguestError) {
            let (ours, other, name) = try HostFiles.openPseudoTerminal()
            HostFiles.close(ours)
            HostFiles.close(other)
            return Finding("pseudo-terminals", works: "--console=pty (\(name) just now)")
        } catch {
            return Finding(
                "pseudo-terminals", .missing, error.message, cost: "no --console=pty",
                remedy: "mount devpts on /dev/pts")
        }
    }
}
