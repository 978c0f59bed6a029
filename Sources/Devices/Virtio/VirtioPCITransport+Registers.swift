// SPDX-License-Identifier: Apache-2.0
//
// The registers of BAR0 (lguest ABI 9.3). Drivers access each field in its own width; other widths are
// carried out all the same, as if the fields were plain bytes, because that is harmless.

extension VirtioPCITransport: MMIOHandler {
    /// Offset and width of each common register that can be written.
    private static let writableFields: [(offset: Int, width: Int)] = [
        (0x00, 4), (0x08, 4), (0x0C, 4), (0x14, 1), (0x16, 2), (0x18, 2), (0x1C, 2),
        (0x20, 4), (0x24, 4), (0x28, 4), (0x2C, 4), (0x30, 4), (0x34, 4),
        (VirtioPCILayout.notify, 2),
    ]

    /// Names of the registers (virtio 1.0, clause 4.1.4.3), by offset.
    private static let names: [(offset: Int, name: String)] = [
        (0x00, "device_feature_select"), (0x04, "device_feature"), (0x08, "driver_feature_select"),
        (0x0C, "driver_feature"), (0x10, "msix_config"), (0x12, "num_queues"), (0x14, "device_status"),
        (0x15, "config_generation"), (0x16, "queue_select"), (0x18, "queue_size"),
        (0x1A, "queue_msix_vector"), (0x1C, "queue_enable"), (0x1E, "queue_notify_off"), (0x20, "queue_desc"),
        (0x28, "queue_driver"), (0x30, "queue_device"), (VirtioPCILayout.notify, "queue_notify"),
        (VirtioPCILayout.isr, "isr_status"), (VirtioPCILayout.device, "configuration"),
    ]

    public func registerName(offset: UInt64) -> String? {
        Self.names.last { $0.offset <= Int(offset) }.map { "\(device.name).\($0.name)" }
    }

    public func mmioRead(offset: UInt64, width: Int) -> UInt64 {
        let offset = Int(offset)
        // Every interrupt handler reads the ISR: no detour.
        if offset == VirtioPCILayout.isr, width == 1 { return UInt64(takeISR()) }
        var bytes = commonRegisters()
        if offset <= VirtioPCILayout.isr, offset + width > VirtioPCILayout.isr {
            bytes[VirtioPCILayout.isr] = takeISR()
        }
        if offset + width > VirtioPCILayout.device {
            bytes += device.configuration
        }
        return bytes.littleEndian(at: offset, width: width)
    }

    public func mmioWrite(offset: UInt64, width: Int, value: UInt64) {
        let offset = Int(offset)
        let end = offset + width
        if end > VirtioPCILayout.device {
            writeDeviceConfiguration(offset, width, value)
        }
        guard offset < VirtioPCILayout.device else { return }
        for field in Self.writableFields where field.offset < end && offset < field.offset + field.width {
            if field.offset == offset, field.width == width {
                return write(field: offset, UInt32(truncatingIfNeeded: value))
            }
            // A write of part of a register keeps the rest of it.
            var bytes = commonRegisters()
            bytes.setLittleEndian(value, at: offset, width: width)
            let merged = bytes.littleEndian(at: field.offset, width: field.width)
            write(field: field.offset, UInt32(truncatingIfNeeded: merged))
        }
    }

    /// The part of a write that falls into the device's configuration, in pieces of at most 4 bytes.
    private func writeDeviceConfiguration(_ offset: Int, _ width: Int, _ value: UInt64) {
        var start = max(offset, VirtioPCILayout.device)
        let end = min(offset + width, VirtioPCILayout.device + configLength)
        while start < end {
            let left = end - start
            let piece = left >= 4 ? 4 : (left >= 2 ? 2 : 1)
            let bits = (value >> UInt64((start - offset) * 8)) & Access.ones(width: piece)
            device.writeConfiguration(
                offset: start - VirtioPCILayout.device, width: piece, value: UInt32(truncatingIfNeeded: bits))
            start += piece
        }
    }

    /// Bytes 0x00–0x3B as they read now. The ISR reads 0 here: the real one clears when it is read.
    private func commonRegisters() -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: VirtioPCILayout.device)
        func put(_ value: UInt64, _ offset: Int, _ width: Int) {
            bytes.setLittleEndian(value, at: offset, width: width)
        }
        put(UInt64(deviceFeatureSelect), 0x00, 4)
        put(UInt64(half(of: offeredFeatures, deviceFeatureSelect)), 0x04, 4)
        put(UInt64(driverFeatureSelect), 0x08, 4)
        put(UInt64(half(of: acceptedFeatures, driverFeatureSelect)), 0x0C, 4)
        put(0xFFFF, 0x10, 2)
        put(UInt64(queueRegisters.count), 0x12, 2)
        put(UInt64(status.rawValue), 0x14, 1)
        put(UInt64(configGeneration), 0x15, 1)
        put(UInt64(queueSelect), 0x16, 2)
        put(0xFFFF, 0x1A, 2)
        guard queueRegisters.indices.contains(Int(queueSelect)) else { return bytes }
        let queue = queueRegisters[Int(queueSelect)]
        put(UInt64(queue.layout.size), 0x18, 2)
        put(queue.isEnabled ? 1 : 0, 0x1C, 2)
        put(queue.layout.descriptors, 0x20, 8)
        put(queue.layout.available, 0x28, 8)
        put(queue.layout.used, 0x30, 8)
        return bytes
    }

    private func half(of features: VirtioFeatures, _ select: UInt32) -> UInt32 {
        select > 1 ? 0 : UInt32(truncatingIfNeeded: features.rawValue >> UInt64(select * 32))
    }

    private func write(field: Int, _ value: UInt32) {
        switch field {
        case 0x00: deviceFeatureSelect = value
        case 0x08: driverFeatureSelect = value
        case 0x0C: acceptFeatures(value)
        case 0x14: writeStatus(UInt8(truncatingIfNeeded: value))
        case 0x16: queueSelect = UInt16(truncatingIfNeeded: value)
        case VirtioPCILayout.notify: notify(Int(value))
        default: writeQueue(field: field, value)
        }
    }

    /// Clause 3.1.1: no new features once both sides have agreed.
    private func acceptFeatures(_ value: UInt32) {
        guard driverFeatureSelect <= 1, !status.contains(.featuresOK) else { return }
        let shift = UInt64(driverFeatureSelect * 32)
        let kept = acceptedFeatures.rawValue & ~(0xFFFF_FFFF << shift)
        acceptedFeatures = VirtioFeatures(rawValue: kept | UInt64(value) << shift)
    }

    /// The selected queue's registers. They are fixed once the queue is enabled (clause 4.1.4.3.2).
    private func writeQueue(field: Int, _ value: UInt32) {
        let index = Int(queueSelect)
        guard queueRegisters.indices.contains(index), !queueRegisters[index].isEnabled else { return }
        switch field {
        case 0x18: queueRegisters[index].layout.size = UInt16(truncatingIfNeeded: value)
        case 0x1C: queueRegisters[index].isEnabled = value & 0xFFFF == 1
        case 0x20: setLow(&queueRegisters[index].layout.descriptors, value)
        case 0x24: setHigh(&queueRegisters[index].layout.descriptors, value)
        case 0x28: setLow(&queueRegisters[index].layout.available, value)
        case 0x2C: setHigh(&queueRegisters[index].layout.available, value)
        case 0x30: setLow(&queueRegisters[index].layout.used, value)
        case 0x34: setHigh(&queueRegisters[index].layout.used, value)
        default: break
        }
    }

    private func setLow(_ address: inout UInt64, _ value: UInt32) {
        address = address & 0xFFFF_FFFF_0000_0000 | UInt64(value)
    }

    private func setHigh(_ address: inout UInt64, _ value: UInt32) {
        address = address & 0xFFFF_FFFF | UInt64(value) << 32
    }
}
