// SPDX-License-Identifier: Apache-2.0
//
// A program for Debian's guests that sets their time to the host's. No program of busybox sets a time to less than a
// second, and Linux's own ways to it lose some tens of milliseconds while the kernel starts.

/// Reads the 16 bytes of the clock's further memory (`RealTimeClock`), a `timespec`, and hands it to the kernel. Its
/// status is 0, or an error number of the guest's kernel as a negative byte (before Linux 5.1 there is no such call).
enum SetTime {
    static let name = "lguest-set-time"

    /// Linux's system calls by their i386 numbers.
    private static let code: [UInt8] = [
        0xB8, 110, 0, 0, 0,  // mov $110,%eax        iopl(3): may use ports
        0xBB, 3, 0, 0, 0,  // mov $3,%ebx
        0xCD, 0x80,  // int $0x80
        0x83, 0xEC, 16,  // sub $16,%esp
        0x89, 0xE7,  // mov %esp,%edi
        0x31, 0xC9,  // xor %ecx,%ecx
        0xFC,  // cld
        0x88, 0xC8,  // 1: mov %cl,%al
        0xE6, 0x72,  // out %al,$0x72
        0xE4, 0x73,  // in $0x73,%al
        0xAA,  // stosb
        0x41,  // inc %ecx
        0x80, 0xF9, 16,  // cmp $16,%cl
        0x75, 0xF3,  // jne 1b
        0x31, 0xDB,  // xor %ebx,%ebx        CLOCK_REALTIME
        0x89, 0xE1,  // mov %esp,%ecx
        0xB8, 0x94, 0x01, 0, 0,  // mov $404,%eax  clock_settime64
        0xCD, 0x80,  // int $0x80
        0x89, 0xC3,  // mov %eax,%ebx
        0xB8, 1, 0, 0, 0,  // mov $1,%eax    exit
        0xCD, 0x80,  // int $0x80
    ]

    /// An ELF file of one segment: its header, the segment's, the code.
    static var program: [UInt8] {
        let base: UInt32 = 0x0804_8000
        let headers: UInt32 = 52 + 32
        let size = headers + UInt32(code.count)
        let identity: [UInt8] = [0x7F, 0x45, 0x4C, 0x46, 1, 1, 1] + [UInt8](repeating: 0, count: 9)
        // An executable for the 386, where it starts, where its segment is described.
        let file = halves(2, 3) + words(1, base + headers, 52, 0, 0) + halves(52, 32, 1, 40, 0, 0)
        // Loaded as a whole, to be read and executed.
        let segment = words(1, 0, base, base, size, size, 5, 4096)
        return identity + file + segment + code
    }

    private static func words(_ values: UInt32...) -> [UInt8] {
        values.flatMap { value in (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
    }

    private static func halves(_ values: UInt16...) -> [UInt8] {
        values.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8(truncatingIfNeeded: $0 >> 8)] }
    }
}
