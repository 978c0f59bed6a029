// SPDX-License-Identifier: Apache-2.0
//
// What a disk is made of, seen from the device's side: bytes that can be read and written at any offset,
// by several threads at a time. Images know nothing of virtio, sectors or threads.

/// Why a disk could not do something: the host's error number.
struct DiskFailure: Error, Equatable, Sendable {
    let errno: Int32
}

/// The contents of a disk. All functions may wait for the host's disk, and may be called from several threads
/// at a time; what overlapping calls leave behind is up to chance, as with a real disk.
protocol DiskImage: AnyObject, Sendable {
    /// The file's name as given, for messages and as the disk's serial number.
    var name: String { get }
    /// Size in bytes, any number; never changes.
    var byteCount: UInt64 { get }
    var isReadOnly: Bool { get }

    /// Fills all of `buffers` from `offset` on.
    func read(at offset: UInt64, into buffers: HostBuffers) throws(DiskFailure)
    /// The same if that needs no waiting; false when it would, or when it cannot be known.
    func readAtOnce(at offset: UInt64, into buffers: HostBuffers) -> Bool
    /// Writes all of `buffers` from `offset` on.
    func write(at offset: UInt64, from buffers: HostBuffers) throws(DiskFailure)
    /// Returns once everything that was written before is safe on the host's disk.
    func flush() throws(DiskFailure)
    /// Makes `count` bytes read as zeros. With `mayDiscard` the space may be given back.
    func writeZeros(at offset: UInt64, count: UInt64, mayDiscard: Bool) throws(DiskFailure)
    /// The bytes are no longer needed: what they read as from now on does not matter.
    func discard(at offset: UInt64, count: UInt64) throws(DiskFailure)
    /// Lets other guests have the files.
    func unlock()
}

extension DiskImage {
    func unlock() {}
}

/// One thing that a disk is asked to do. Offsets and counts are bytes inside the image.
enum DiskOperation: Sendable {
    case read(offset: UInt64, HostBuffers)
    case write(offset: UInt64, HostBuffers)
    case flush
    case writeZeros(offset: UInt64, count: UInt64, mayDiscard: Bool)
    case discard(offset: UInt64, count: UInt64)
}

extension DiskImage {
    /// Carries out `operation`; nil when it worked.
    func perform(_ operation: DiskOperation) -> DiskFailure? {
        do throws(DiskFailure) {
            switch operation {
            case .read(let offset, let buffers): try read(at: offset, into: buffers)
            case .write(let offset, let buffers): try write(at: offset, from: buffers)
            case .flush: try flush()
            case .writeZeros(let offset, let count, let mayDiscard):
                try writeZeros(at: offset, count: count, mayDiscard: mayDiscard)
            case .discard(let offset, let count): try discard(at: offset, count: count)
            }
            return nil
        } catch {
            return error
        }
    }
}
