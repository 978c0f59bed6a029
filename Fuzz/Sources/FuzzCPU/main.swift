// SPDX-License-Identifier: Apache-2.0
//
// Hands libFuzzer's inputs to `HostileGuest`.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// libFuzzer's own main loop.
@_silgen_name("LLVMFuzzerRunDriver")
func runFuzzer(
    _ count: UnsafeMutablePointer<Int32>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
    _ callback: @convention(c) (UnsafePointer<UInt8>, Int) -> Int32
) -> Int32

nonisolated(unsafe) let guest = try HostileGuest()

func tryInput(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> Int32 {
    // SAFETY: libFuzzer passes exactly `count` bytes.
    _ = try? guest.run(Array(UnsafeBufferPointer(start: bytes, count: count)))
    return 0
}

var count = CommandLine.argc
var arguments = CommandLine.unsafeArgv
exit(runFuzzer(&count, &arguments, tryInput))
