// SPDX-License-Identifier: Apache-2.0

import Devices
import GuestInterfaces

/// What a machine is made of.
public struct MachineConfiguration: Sendable {
    /// Guest RAM in bytes, a multiple of 4096, 16 MiB to 3 GiB.
    public var memoryBytes: UInt64
    public var kernelPath: String
    public var initrdPath: String?
    /// An initrd made in memory, in place of a file.
    public var initrdBytes: [UInt8]?
    /// The kernel's arguments.
    public var commandLine: String
    /// `vda`, `vdb` and so on.
    public var disks: [DiskSpecification] = []
    /// `eth0`, `eth1` and so on.
    public var networks: [NetworkSpecification] = []
    /// Folders of the host that the guest mounts by their tags.
    public var shares: [ShareSpecification] = []
    /// Whether this process's standard streams are files of the share `ShareSpecification.streamsTag`; a status that
    /// the guest writes there ends the run.
    public var hasStreams = false
    /// Whether there is a random number generator.
    public var hasRandom = false
    /// Memory to ask back from the guest, in bytes; nil for no balloon.
    public var balloonBytes: UInt64?
    /// Whether a bzImage is started as it is, with its own unpacker, in place of being unpacked here.
    public var guestDecompress = false
    /// Whether the guest may end the run by a write to `StatusPort`.
    public var hasStatusPort = false
    /// Say on stderr what is being done.
    public var verbose: Bool
    /// Print counters and times on stderr at the end.
    public var showStatistics: Bool
    /// What is to be seen of the run; nil for nothing.
    public var trace: TraceRequest?
    /// A vmlinux or System.map with the kernel's symbols; nil for what can be found.
    public var symbolPath: String?
    /// The form of what is printed at the end, and whenever the process gets SIGUSR1.
    public var statisticsFormat = StatisticsFormat.text
    /// Write names of generated code to a file for `perf`.
    public var hasPerfMap = false
    /// On which interface the kernel runs; nil for what suits it.
    public var interface: InterfaceChoice?
    /// How guest code is carried out.
    public var engine = EngineChoice.translator

    public init(
        memoryBytes: UInt64, kernelPath: String, initrdPath: String? = nil, commandLine: String = "",
        verbose: Bool = false, showStatistics: Bool = false
    ) {
        self.memoryBytes = memoryBytes
        self.kernelPath = kernelPath
        self.initrdPath = initrdPath
        self.commandLine = commandLine
        self.verbose = verbose
        self.showStatistics = showStatistics
    }
}

/// How a run ended.
public enum MachineOutcome: Equatable, Sendable {
    case powerOff
    /// The guest wants to be started anew.
    case restart
    /// The guest did what cannot be carried out, or panicked; the report is for people.
    case killed(report: String)
    /// Ended from outside: by a debugger or through the monitor.
    case quit
    /// Three Ctrl-C within a second.
    case userInterrupt
    /// The time that was allowed is up.
    case timeout
    /// The guest has written this to `StatusPort`.
    case guestStatus(UInt8)

    /// One word for it.
    public var word: String {
        switch self {
        case .powerOff: "power-off"
        case .restart: "restart"
        case .killed: "killed"
        case .quit: "quit"
        case .userInterrupt: "interrupted"
        case .timeout: "timeout"
        case .guestStatus: "status"
        }
    }
}
