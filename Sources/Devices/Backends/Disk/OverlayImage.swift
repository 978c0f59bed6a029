// SPDX-License-Identifier: Apache-2.0
//
// Copy on write: the image is only read, and what the guest writes goes to a second file, the overlay.
//
// The overlay is sparse: a header page, a bitmap with one bit for each 4 KiB cluster of the disk (1: the
// cluster is here and no longer in the image), then the clusters, each at its own place. A bit is
// set in the file right after its cluster was written, so an lguest that is killed loses nothing;
// and the overlay, however full, needs no index in memory but the bitmap (32 KiB for each GiB).

import Support
import Synchronization

/// A disk that leaves its image as it is.
final class OverlayImage: DiskImage {
    /// Small enough that a guest's 4 KiB block never has to be completed from the image.
    static let cluster: UInt64 = 4096
    private static let magic = [UInt8]("lguest overlay 1".utf8)
    private static let bitmapStart: UInt64 = 4096

    private let image: DiskFile
    private let overlay: DiskFile
    private let dataStart: UInt64
    private let present: Mutex<[UInt8]>
    /// Held while clusters move from the image to the overlay.
    private let moving = Mutex(())

    /// The image at `path` under the overlay at `overlayPath`, which is made if there is none, or under a
    /// temporary overlay that goes away with the guest. Throws `.badInput` when the two do not belong together.
    init(path: String, overlayPath: String?) throws(LguestError) {
        image = try DiskFile(path: path, purpose: "disk image", mode: .readOnly)
        let clusters = (image.byteCount + Self.cluster - 1) / Self.cluster
        let bitmapBytes = Int((clusters + 7) / 8)
        dataStart = Self.bitmapStart + (UInt64(bitmapBytes) + 4095) & ~4095
        if let overlayPath {
            overlay = try DiskFile(path: overlayPath, purpose: "overlay", mode: .create)
        } else {
            overlay = try DiskFile(temporaryFor: "overlay", byteCount: 0)
        }
        var bitmap = [UInt8](repeating: 0, count: bitmapBytes)
        do throws(DiskFailure) {
            if overlay.byteCount == 0 {
                // The header first: an lguest that is killed in between leaves an overlay, if a short one.
                try overlay.writeBytes(Self.header(imageBytes: image.byteCount), at: 0)
                try overlay.resize(to: dataStart + clusters * Self.cluster)
            } else {
                let header = Self.header(imageBytes: image.byteCount)
                let found = try overlay.readBytes(at: 0, count: header.count)
                guard found.starts(with: Self.magic) else {
                    present = Mutex([])
                    throw DiskFailure(errno: 0)
                }
                guard found == header else {
                    present = Mutex([])
                    throw DiskFailure(errno: -1)
                }
                let end = dataStart + clusters * Self.cluster
                if overlay.byteCount < end { try overlay.resize(to: end) }
                bitmap = try overlay.readBytes(at: Self.bitmapStart, count: bitmapBytes)
            }
        } catch {
            throw Self.explain(error, overlay.name, image.name)
        }
        present = Mutex(bitmap)
    }

    private static func explain(_ failure: DiskFailure, _ overlay: String, _ image: String) -> LguestError {
        switch failure.errno {
        case 0:
            LguestError(.badInput, "'\(overlay)' is no overlay", hint: "name a file that does not exist yet")
        case -1:
            LguestError(
                .badInput, "overlay '\(overlay)' was made for an image of another size than '\(image)'")
        default: LguestError(.badInput, "overlay '\(overlay)': \(HostIO.message(failure.errno))")
        }
    }

    /// Magic, then the image's size and the cluster's, 8 bytes each.
    private static func header(imageBytes: UInt64) -> [UInt8] {
        var header = magic + [UInt8](repeating: 0, count: 16)
        header.setLittleEndian(imageBytes, at: 16, width: 8)
        header.setLittleEndian(cluster, at: 24, width: 8)
        return header
    }

    var name: String { image.name }
    var byteCount: UInt64 { image.byteCount }
    var isReadOnly: Bool { false }

    func unlock() {
        image.unlock()
        overlay.unlock()
    }

    // MARK: Reading

    func read(at offset: UInt64, into buffers: HostBuffers) throws(DiskFailure) {
        for run in runs(offset, UInt64(buffers.count)) {
            let part = buffers.slice(Int(run.start - offset), Int(run.count))
            if run.isPresent {
                try overlay.read(at: dataStart + run.start, into: part)
            } else {
                try image.read(at: run.start, into: part)
            }
        }
    }

    func readAtOnce(at offset: UInt64, into buffers: HostBuffers) -> Bool {
        runs(offset, UInt64(buffers.count)).allSatisfy { run in
            let part = buffers.slice(Int(run.start - offset), Int(run.count))
            return run.isPresent
                ? overlay.readAtOnce(at: dataStart + run.start, into: part)
                : image.readAtOnce(at: run.start, into: part)
        }
    }

    private struct Run {
        var start: UInt64
        var count: UInt64
        var isPresent: Bool
    }

    /// The range cut where it changes between overlay and image.
    private func runs(_ offset: UInt64, _ count: UInt64) -> [Run] {
        present.withLock { bitmap in
            var result: [Run] = []
            var position = offset
            while position < offset + count {
                let cluster = position / Self.cluster
                let end = min((cluster + 1) * Self.cluster, offset + count)
                let isPresent = Self.contains(bitmap, cluster)
                if let last = result.last, last.isPresent == isPresent {
                    result[result.count - 1].count += end - position
                } else {
                    result.append(Run(start: position, count: end - position, isPresent: isPresent))
                }
                position = end
            }
            return result
        }
    }

    private static func contains(_ bitmap: [UInt8], _ cluster: UInt64) -> Bool {
        bitmap[Int(cluster / 8)] & 1 << UInt8(cluster % 8) != 0
    }

    // MARK: Writing

    func write(at offset: UInt64, from buffers: HostBuffers) throws(DiskFailure) {
        try store(at: offset, count: UInt64(buffers.count)) { () throws(DiskFailure) in
            try self.overlay.write(at: self.dataStart + offset, from: buffers)
        }
    }

    func writeZeros(at offset: UInt64, count: UInt64, mayDiscard: Bool) throws(DiskFailure) {
        try store(at: offset, count: count) { () throws(DiskFailure) in
            // A hole reads as zeros.
            try self.overlay.zero(at: self.dataStart + offset, count: count, mayDiscard: mayDiscard)
        }
    }

    /// Only what is here already can give space back.
    func discard(at offset: UInt64, count: UInt64) throws(DiskFailure) {
        for run in runs(offset, count) where run.isPresent {
            try overlay.discard(at: dataStart + run.start, count: run.count)
        }
    }

    func flush() throws(DiskFailure) { try overlay.sync() }

    /// Lets `body` write the range into the overlay, with what belongs to the same clusters around it.
    private func store(
        at offset: UInt64, count: UInt64, _ body: () throws(DiskFailure) -> Void
    ) throws(DiskFailure) {
        guard count > 0 else { return }
        if runs(offset, count).allSatisfy(\.isPresent) { return try body() }
        // One after the other: completing a cluster from the image must not undo somebody else's write.
        try moving.withLock { (_) throws(DiskFailure) in
            try complete(cluster: offset / Self.cluster, around: offset..<offset + count)
            let last = (offset + count - 1) / Self.cluster
            if last != offset / Self.cluster { try complete(cluster: last, around: offset..<offset + count) }
            try body()
            try markPresent(offset / Self.cluster, last)
        }
    }

    /// Copies the parts of an absent cluster that `range` does not cover.
    private func complete(cluster: UInt64, around range: Range<UInt64>) throws(DiskFailure) {
        let start = cluster * Self.cluster
        let end = min(start + Self.cluster, image.byteCount)
        guard start < range.lowerBound || range.upperBound < end,
            !present.withLock({ Self.contains($0, cluster) })
        else { return }
        let bytes = HostBuffers(zeros: Int(end - start))
        try image.read(at: start, into: bytes)
        try overlay.write(at: dataStart + start, from: bytes)
    }

    /// Sets the bits from `first` to `last`, here and in the file.
    private func markPresent(_ first: UInt64, _ last: UInt64) throws(DiskFailure) {
        let byteRange = Int(first / 8)...Int(last / 8)
        var bytes = present.withLock { Array($0[byteRange]) }
        for cluster in first...last {
            bytes[Int(cluster / 8) - byteRange.lowerBound] |= 1 << UInt8(cluster % 8)
        }
        try overlay.writeBytes(bytes, at: Self.bitmapStart + UInt64(byteRange.lowerBound))
        present.withLock { $0.replaceSubrange(byteRange, with: bytes) }
    }
}
