// SPDX-License-Identifier: Apache-2.0
//
// What a session opens for a trace: the outputs, and a file with symbols where the kernel has none.

import Boot
import Machine
import Support
import Trace

extension Session {
    /// The outputs of the trace that the configuration wants. Throws `.badInput` for files that cannot be created.
    static func tracing(
        _ configuration: MachineConfiguration, _ options: SessionOptions, _ log: Log
    ) throws(LguestError) -> Tracing? {
        guard let request = configuration.trace else { return nil }
        let version = try? KernelImage(path: configuration.kernelPath, guestDecompress: true).linuxVersion
        let header = TraceHeader(
            kernel: configuration.kernelPath, version: version?.description ?? "",
            memoryBytes: configuration.memoryBytes, engine: configuration.engine.rawValue)
        return try Tracing(request, header, rawTerminal: options.console == .stdio) { log.line(.warning, $0) }
    }

    /// The symbols in the file that was named. Without one, of a kernel that is only seen by a trace, those of a
    /// file beside it; a file that turns out to be useless is passed over.
    static func symbols(
        _ configuration: MachineConfiguration, _ log: Log
    ) throws(LguestError) -> SymbolTable? {
        if let path = configuration.symbolPath {
            let table = try SymbolFile.read(path)
            if let (named, running) = otherVersion(path, than: try kernel(configuration)) {
                log.line(
                    .warning,
                    "\(path.asOneLine): symbols of Linux \(named), but the kernel is \(running): expect wrong names"
                )
            }
            return table
        }
        let kernel = try kernel(configuration)
        guard kernel.symbols == nil else { return nil }
        for path in SymbolFile.candidates(besideKernel: configuration.kernelPath) {
            if let found = try? SymbolFile.read(path), otherVersion(path, than: kernel) == nil {
                return found
            }
        }
        return nil
    }

    private static func kernel(_ configuration: MachineConfiguration) throws(LguestError) -> KernelImage {
        try KernelImage(path: configuration.kernelPath, guestDecompress: true)
    }

    /// The releases of the file at `path` and of `kernel` where both say one, and not the same.
    private static func otherVersion(
        _ path: String, than kernel: KernelImage
    ) -> (LinuxVersion, LinuxVersion)? {
        guard let running = kernel.linuxVersion, let named = (try? KernelImage(path: path))?.linuxVersion,
            named != running
        else { return nil }
        return (named, running)
    }
}
