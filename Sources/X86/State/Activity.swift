// SPDX-License-Identifier: Apache-2.0

/// What the thread of a processor is doing while it is not in generated code; values of `CPUState.activity`, which a
/// profiler's signal handler reads. Below 8.
public enum Activity {
    public static let other: UInt32 = 0
    /// Carrying out or translating guest code.
    public static let engine: UInt32 = 1
    /// Dealing with what crosses the guest interface.
    public static let interface: UInt32 = 2
    /// In a device, or looking for what the host has for devices.
    public static let devices: UInt32 = 3
}
