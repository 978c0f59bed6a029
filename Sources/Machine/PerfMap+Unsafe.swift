// SPDX-License-Identifier: Apache-2.0
//
// A file in which `perf` finds names for generated code: `/tmp/perf-PID.map`, one line for each piece with its
// address, length and name (Linux: tools/perf/Documentation/jit-interface.txt). When the code cache is emptied its
// addresses come up again with other names; perf takes the last.

import Engine
import Support

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

public final class PerfMap {
    private let descriptor: Int32
    private var buffer: [UInt8] = []

    /// Makes the file of this process. Throws where that cannot be.
    public init() throws(LguestError) {
        let path = "/tmp/perf-\(getpid()).map"
        // Nobody else's file, and no link to one.
        descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw LguestError(.host, "cannot make \(path) (errno \(errno))", hint: "--perf-map")
        }
    }

    deinit {
        flush()
        close(descriptor)
    }

    func add(_ code: TranslatedCode, symbol: (UInt32) -> String?) {
        let name: String
        switch code.place {
        case .piece(let piece): name = "lguest: \(piece)"
        case .block(let eip, isUser: true): name = "user@\(digits(UInt(eip)))"
        case .block(let eip, isUser: false): name = symbol(eip) ?? "kernel@\(digits(UInt(eip)))"
        }
        let line = "\(digits(code.address)) \(digits(UInt(code.byteCount))) \(name)\n"
        buffer += Array(line.utf8)
        if buffer.count > 1 << 16 { flush() }
    }

    /// Writes what has been collected.
    public func flush() {
        var rest = buffer[...]
        while !rest.isEmpty {
            // SAFETY: write(2) reads exactly the bytes of the storage it is given.
            let written =
                rest.withContiguousStorageIfAvailable { write(descriptor, $0.baseAddress, $0.count) } ?? -1
            if written <= 0 { break }
            rest = rest.dropFirst(written)
        }
        buffer.removeAll(keepingCapacity: true)
    }

    private func digits(_ value: UInt) -> String { String(value, radix: 16) }
}

extension Machine {
    /// Lists all generated code of this machine in `map`. Throws `.badInput` for an engine that makes none.
    public func list(in map: PerfMap) throws(LguestError) {
        guard let translator = engine as? Translator else {
            throw LguestError(.badInput, "only the translator makes code to be listed", hint: "--perf-map")
        }
        let symbols = symbols
        translator.announceCode { map.add($0) { symbols.lookup($0)?.description } }
    }
}
