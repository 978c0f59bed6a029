// SPDX-License-Identifier: Apache-2.0
//
// Unpacks kernels through the system's libraries. The data is hostile: output never exceeds the size that
// the caller allows, and memory has a limit where the format could ask for much.

import CCompression
import Support

enum Decompressor {
    /// What liblzma may use, in bytes: its largest preset needs 65 MiB.
    private static let memoryLimit: UInt64 = 256 << 20

    /// The contents of `packed`, a gzip file, which ends in the size of what it holds; nil when it is none, or damaged, or
    /// has more than `limit` bytes inside.
    static func unpackGzip(_ packed: [UInt8], limit: Int) -> [UInt8]? {
        guard packed.starts(with: PayloadFormat.gzip.magic),
            let size: UInt32 = packed.littleEndian(at: packed.count - 4), size <= limit
        else { return nil }
        return unpack(packed, .gzip, size: Int(size))
    }

    /// The contents of `packed`; nil when it is damaged or has not exactly `size` bytes.
    static func unpack(_ packed: [UInt8], _ format: PayloadFormat, size: Int) -> [UInt8]? {
        if format == .lzo { return LZO.unpack(packed, size: size) }
        var isGood = false
        // SAFETY: every function below gets the two buffers with their own counts, and the array keeps
        // `size` bytes only when all of them were written.
        let bytes = packed.withUnsafeBufferPointer { source in
            [UInt8](unsafeUninitializedCapacity: size) { target, initialized in
                let room = UnsafeMutableBufferPointer(rebasing: target[..<size])
                let count: Int?
                switch format {
                case .gzip: count = gzip(source, room)
                case .bzip2: count = bzip2(source, room)
                case .lzma, .xz: count = lzma(source, room, isAlone: format == .lzma)
                case .lz4: count = lz4(source, room)
                case .zstd: count = zstd(source, room)
                case .lzo: count = nil
                }
                isGood = count == size
                initialized = isGood ? size : 0
            }
        }
        return isGood ? bytes : nil
    }

    private typealias Source = UnsafeBufferPointer<UInt8>
    private typealias Target = UnsafeMutableBufferPointer<UInt8>

    private static func gzip(_ source: Source, _ target: Target) -> Int? {
        var stream = z_stream()
        // 16: a gzip header; 15: the largest window.
        guard inflateInit2_(&stream, 16 + 15, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK
        else { return nil }
        defer { inflateEnd(&stream) }
        // SAFETY: zlib only reads through next_in, whose type lacks a const.
        stream.next_in = UnsafeMutablePointer(mutating: source.baseAddress)
        stream.avail_in = UInt32(clamping: source.count)
        stream.next_out = target.baseAddress
        stream.avail_out = UInt32(clamping: target.count)
        guard inflate(&stream, Z_FINISH) == Z_STREAM_END else { return nil }
        return target.count - Int(stream.avail_out)
    }

    private static func bzip2(_ source: Source, _ target: Target) -> Int? {
        var stream = bz_stream()
        guard BZ2_bzDecompressInit(&stream, 0, 0) == BZ_OK else { return nil }
        defer { BZ2_bzDecompressEnd(&stream) }
        // SAFETY: libbz2 only reads through next_in; bytes and chars have one size.
        stream.next_in = UnsafeMutableRawPointer(mutating: source.baseAddress)?.assumingMemoryBound(
            to: CChar.self)
        stream.avail_in = UInt32(clamping: source.count)
        stream.next_out = UnsafeMutableRawPointer(target.baseAddress)?.assumingMemoryBound(to: CChar.self)
        stream.avail_out = UInt32(clamping: target.count)
        guard BZ2_bzDecompress(&stream) == BZ_STREAM_END else { return nil }
        return target.count - Int(stream.avail_out)
    }

    private static func lzma(_ source: Source, _ target: Target, isAlone: Bool) -> Int? {
        var stream = lzma_stream()
        let ready =
            isAlone
            ? lzma_alone_decoder(&stream, memoryLimit) : lzma_stream_decoder(&stream, memoryLimit, 0)
        guard ready == LZMA_OK else { return nil }
        defer { lzma_end(&stream) }
        stream.next_in = source.baseAddress
        stream.avail_in = source.count
        stream.next_out = target.baseAddress
        stream.avail_out = target.count
        guard lzma_code(&stream, LZMA_FINISH) == LZMA_STREAM_END else { return nil }
        return target.count - stream.avail_out
    }

    /// The legacy frame of lz4: a magic number, then blocks with their packed size before each.
    private static func lz4(_ source: Source, _ target: Target) -> Int? {
        var (at, done) = (PayloadFormat.lz4.magic.count, 0)
        while at + 4 <= source.count {
            let size = (0..<4).reduce(0) { $0 | Int(source[at + $1]) << (8 * $1) }
            at += 4
            guard size > 0, size <= source.count - at, let from = source.baseAddress,
                let to = target.baseAddress
            else { return nil }
            let room = Int32(clamping: target.count - done)
            // SAFETY: `at + size` is inside the source and `done + room` inside the target; the function
            // never leaves either.
            let count = UnsafeRawPointer(from + at).withMemoryRebound(to: CChar.self, capacity: size) {
                from in
                UnsafeMutableRawPointer(to + done).withMemoryRebound(to: CChar.self, capacity: Int(room)) {
                    LZ4_decompress_safe(from, $0, Int32(clamping: size), room)
                }
            }
            guard count >= 0 else { return nil }
            done += Int(count)
            at += size
        }
        return done
    }

    private static func zstd(_ source: Source, _ target: Target) -> Int? {
        guard let context = ZSTD_createDCtx() else { return nil }
        defer { ZSTD_freeDCtx(context) }
        var input = ZSTD_inBuffer(src: source.baseAddress, size: source.count, pos: 0)
        var output = ZSTD_outBuffer(dst: target.baseAddress, size: target.count, pos: 0)
        // 0: the frame is complete. A frame that needs more room than there is makes no progress.
        while true {
            let before = (input.pos, output.pos)
            let result = ZSTD_decompressStream(context, &output, &input)
            if ZSTD_isError(result) != 0 { return nil }
            if result == 0 { return output.pos }
            if before == (input.pos, output.pos) { return nil }
        }
    }
}
