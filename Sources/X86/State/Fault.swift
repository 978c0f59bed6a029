// SPDX-License-Identifier: Apache-2.0
//
// An exception that an instruction raised. It is thrown before the instruction changed
// anything, so the instruction can be started again once the cause is gone.

/// Exception vectors (Intel SDM volume 3, table 6-1).
public enum Vector {
    public static let divideError: UInt8 = 0
    public static let debug: UInt8 = 1
    public static let nonMaskable: UInt8 = 2
    public static let breakpoint: UInt8 = 3
    public static let overflow: UInt8 = 4
    public static let boundRange: UInt8 = 5
    public static let invalidOpcode: UInt8 = 6
    public static let deviceNotAvailable: UInt8 = 7
    public static let doubleFault: UInt8 = 8
    public static let invalidTSS: UInt8 = 10
    public static let segmentNotPresent: UInt8 = 11
    public static let stackFault: UInt8 = 12
    public static let generalProtection: UInt8 = 13
    public static let pageFault: UInt8 = 14
    public static let floatingPoint: UInt8 = 16
    public static let alignmentCheck: UInt8 = 17
    public static let machineCheck: UInt8 = 18
    public static let simdFloatingPoint: UInt8 = 19
}

/// One exception: vector, error code where the vector has one, and for a page fault the address.
public struct Fault: Error, Equatable, Sendable {
    public var vector: UInt8
    /// Meaningful for vectors 8, 10–14 and 17 only (Intel SDM volume 3, 6.13).
    public var errorCode: UInt32
    /// Linear address of a page fault; 0 otherwise.
    public var address: UInt32

    @inlinable
    public init(vector: UInt8, errorCode: UInt32 = 0, address: UInt32 = 0) {
        self.vector = vector
        self.errorCode = errorCode
        self.address = address
    }

    /// Whether the processor pushes an error code for this vector.
    public var hasErrorCode: Bool { Fault.pushesErrorCode(vector) }

    public static func pushesErrorCode(_ vector: UInt8) -> Bool {
        switch vector {
        case 8, 10, 11, 12, 13, 14, 17: true
        default: false
        }
    }

    public static let divideError = Fault(vector: Vector.divideError)
    public static let invalidOpcode = Fault(vector: Vector.invalidOpcode)
    public static let deviceNotAvailable = Fault(vector: Vector.deviceNotAvailable)

    /// Not an exception of the architecture: an operand in a segment taken for flat runs over the end of the
    /// address space. Whoever skipped the segment's checks makes them now, and gets #GP(0) or #SS(0).
    public static let beyondAddressSpace = Fault(vector: 255)

    /// #GP; `code` is 0 or a selector with its low two bits cleared (or an IDT reference).
    public static func generalProtection(_ code: UInt32 = 0) -> Fault {
        Fault(vector: Vector.generalProtection, errorCode: code)
    }

    /// #GP for a selector: the error code is the selector without its RPL.
    public static func generalProtection(selector: UInt16) -> Fault {
        Fault(vector: Vector.generalProtection, errorCode: UInt32(selector & 0xFFFC))
    }

    /// #SS; `code` as for `generalProtection`.
    public static func stack(_ code: UInt32 = 0) -> Fault {
        Fault(vector: Vector.stackFault, errorCode: code)
    }

    /// #NP for a selector.
    public static func notPresent(selector: UInt16) -> Fault {
        Fault(vector: Vector.segmentNotPresent, errorCode: UInt32(selector & 0xFFFC))
    }

    /// #TS for a selector.
    public static func invalidTSS(selector: UInt16) -> Fault {
        Fault(vector: Vector.invalidTSS, errorCode: UInt32(selector & 0xFFFC))
    }
}
