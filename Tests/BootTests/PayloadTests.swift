// SPDX-License-Identifier: Apache-2.0
//
// Kernels unpacked from bzImages: each format there and back, and damaged data.

import CCompression
import Support
import Testing

@testable import Boot

@Suite("Payload")
struct PayloadTests {
    /// 100,000 bytes that pack well, but not to nothing.
    private static let content: [UInt8] =
        ELFBuilder.kernel.bytes() + (0..<100_000).map { UInt8(truncatingIfNeeded: ($0 * $0) >> 9 & 0x3F) }

    private func image(_ packed: [UInt8], size: Int = content.count) -> BzImageBuilder {
        var builder = BzImageBuilder()
        builder.payload = packed + words([UInt32(size)])
        while builder.payload.count % 16 != 0 { builder.payload.append(0) }
        builder.packedSize = UInt32(packed.count + 4)
        return builder
    }

    @Test("every format", arguments: PayloadFormat.allCases)
    func formats(format: PayloadFormat) throws {
        let packed = try #require(Packer.pack(Self.content, format))
        #expect(PayloadFormat(packed) == format)
        #expect(Decompressor.unpack(packed, format, size: Self.content.count) == Self.content)
        // gzip ends in its size; a second one behind it does no harm.
        let kernel = try KernelImage(image(packed).file)
        #expect(kernel.container?.format == format)
        #expect(kernel.linuxVersion?.release == "4.4.178-test" && kernel.lguestSupport == .entryStub)
        if case .bzImage = kernel.format { Issue.record("not unpacked") }
        let untouched = try KernelImage(image(packed).file, guestDecompress: true)
        if case .elf = untouched.format { Issue.record("unpacked all the same") }
    }

    @Test("damaged data is refused, whatever the damage", arguments: PayloadFormat.allCases)
    func damage(format: PayloadFormat) throws {
        let packed = try #require(Packer.pack(Self.content, format))
        let size = Self.content.count
        #expect(
            (Decompressor.unpack(Array(packed.dropLast(packed.count / 2)), format, size: size) == nil) as Bool
        )
        #expect((Decompressor.unpack(packed, format, size: size - 1) == nil) as Bool)
        #expect((Decompressor.unpack(packed, format, size: size + 1) == nil) as Bool)
        var random = SystemRandomNumberGenerator()
        for _ in 0..<200 {
            var bytes = packed
            for _ in 0..<4 { bytes[Int.random(in: 0..<bytes.count, using: &random)] = .random(in: 0...255) }
            // No crash, no hang, and never more than was asked for.
            let result = Decompressor.unpack(bytes, format, size: size)
            #expect(result == nil || result?.count == size)
        }
        var lie = image(packed, size: 1 << 30)
        #expect(message { _ = try KernelImage(lie.file) }.contains("damaged bzImage"))
        lie = image(packed, size: 0)
        #expect(message { _ = try KernelImage(lie.file) }.contains("--guest-decompress"))
    }
}

/// The other way, through the same libraries.
enum Packer {
    static func pack(_ bytes: [UInt8], _ format: PayloadFormat) -> [UInt8]? {
        var target = [UInt8](repeating: 0, count: 2 * bytes.count + 1024)
        switch format {
        case .gzip:
            var stream = z_stream()
            let size = Int32(MemoryLayout<z_stream>.size)
            guard deflateInit2_(&stream, 9, Z_DEFLATED, 31, 9, 0, ZLIB_VERSION, size) == Z_OK else {
                return nil
            }
            defer { deflateEnd(&stream) }
            var source = bytes
            return source.withUnsafeMutableBufferPointer { from in
                target.withUnsafeMutableBufferPointer { to in
                    stream.next_in = from.baseAddress
                    stream.avail_in = UInt32(from.count)
                    stream.next_out = to.baseAddress
                    stream.avail_out = UInt32(to.count)
                    guard deflate(&stream, Z_FINISH) == Z_STREAM_END else { return nil }
                    return Array(to[..<(to.count - Int(stream.avail_out))])
                }
            }
        case .bzip2:
            var count = UInt32(target.count)
            var source = bytes.map(CChar.init(bitPattern:))
            var result = [CChar](repeating: 0, count: target.count)
            guard BZ2_bzBuffToBuffCompress(&result, &count, &source, UInt32(source.count), 9, 0, 0) == BZ_OK
            else { return nil }
            return result[..<Int(count)].map(UInt8.init(bitPattern:))
        case .xz:
            var count = 0
            guard
                lzma_easy_buffer_encode(
                    6, LZMA_CHECK_CRC32, nil, bytes, bytes.count, &target, &count, target.count) == LZMA_OK
            else { return nil }
            return Array(target[..<count])
        case .lzma:
            var (stream, options) = (lzma_stream(), lzma_options_lzma())
            guard lzma_lzma_preset(&options, 6) == 0, lzma_alone_encoder(&stream, &options) == LZMA_OK else {
                return nil
            }
            defer { lzma_end(&stream) }
            return bytes.withUnsafeBufferPointer { from in
                target.withUnsafeMutableBufferPointer { to in
                    stream.next_in = from.baseAddress
                    stream.avail_in = from.count
                    stream.next_out = to.baseAddress
                    stream.avail_out = to.count
                    guard lzma_code(&stream, LZMA_FINISH) == LZMA_STREAM_END else { return nil }
                    return Array(to[..<(to.count - stream.avail_out)])
                }
            }
        case .lz4:
            var result = [CChar](repeating: 0, count: target.count)
            let source = bytes.map(CChar.init(bitPattern:))
            let count = LZ4_compress_default(source, &result, Int32(source.count), Int32(result.count))
            let block = result[..<Int(count)].map(UInt8.init(bitPattern:))
            return format.magic + words([UInt32(count)]) + block
        case .zstd:
            let count = ZSTD_compress(&target, target.count, bytes, bytes.count, 19)
            return ZSTD_isError(count) == 0 ? Array(target[..<count]) : nil
        case .lzo:
            return lzop(bytes)
        }
    }

    /// There is no library for LZO here: a plain encoder that only knows runs of literals and repeats of the
    /// last byte, in a file with one block.
    private static func lzop(_ bytes: [UInt8]) -> [UInt8] {
        func big(_ value: Int) -> [UInt8] {
            (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * $0)) }
        }
        func count(_ value: Int, _ base: Int, _ code: UInt8) -> [UInt8] {
            if value <= base { return [code | UInt8(value)] }
            let rest = value - base - 1
            return [code] + [UInt8](repeating: 0, count: rest / 255) + [UInt8(rest % 255 + 1)]
        }
        var data: [UInt8] = []
        var at = 0
        while at < bytes.count {
            var run = 4
            while at + run < bytes.count {
                let same = (1...8).allSatisfy {
                    at + run + $0 < bytes.count && bytes[at + run + $0] == bytes[at + run - 1 + $0]
                }
                if same && bytes[at + run] == bytes[at + run - 1] { break }
                run += 1
            }
            run = min(run, bytes.count - at)
            data += count(run - 3, 15, 0) + bytes[at..<at + run]
            at += run
            guard at < bytes.count else { break }
            var same = 0
            while at + same < bytes.count, bytes[at + same] == bytes[at - 1] { same += 1 }
            // Distance 1, no literals behind it. What is left must be worth a run of its own.
            if bytes.count - at - same < 4 { same = max(3, same - 4) }
            data += count(same - 2, 31, 0x20) + [0, 0]
            at += same
        }
        data += [0x11, 0, 0]
        let head: [UInt8] =
            [0x10, 0x40, 0x20, 0xA0, 0x09, 0x40, 3, 9] + big(0) + big(0) + big(0) + big(0) + [0] + big(0)
        return PayloadFormat.lzo.magic + head + big(bytes.count) + big(data.count) + data + big(0)
    }
}
