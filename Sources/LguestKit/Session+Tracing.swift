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
    static func symbols(_ configuration: MachineConfiguration) throws(LguestError) -> SymbolTable? {
        if let path = configuration.symbolPath { return try SymbolFile.read(path) }
        let kernel = try KernelImage(path: configuration.kernelPath, guestDecompress: true)
        guard kernel.symbols == nil else { return nil }
        for path in SymbolFile.candidates(besideKernel: configuration.kernelPath) {
            if let found = try? SymbolFile.read(path) { return found }
        }
        return nil
    }
}
