// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0
import PackageDescription

/// Every target of ours: Swift 6 language mode, warnings as errors.
let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
]

// The targets are the boxes of the picture in ARCHITECTURE.md, from bottom to top;
// a target imports only what stands below it.
let package = Package(
    name: "lguest",
    products: [
        .executable(name: "lguest", targets: ["lguest"]),
        .library(name: "LguestKit", targets: ["LguestKit"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2")
    ],
    targets: [
        .target(name: "CHost"),
        .target(name: "Support", swiftSettings: strict),
        .systemLibrary(name: "CZydis", providers: [.apt(["libzydis-dev"])]),
        .target(name: "GuestMemory", dependencies: ["CHost"], swiftSettings: strict),
        .target(name: "Tap", dependencies: ["Support"], swiftSettings: strict),
        .target(name: "X86", dependencies: ["GuestMemory", "CHost", "Tap"], swiftSettings: strict),
        .target(
            name: "Engine", dependencies: ["X86", "GuestMemory", "Support", "CHost", "Tap"],
            swiftSettings: strict),
        .target(
            name: "Trace", dependencies: ["Support", "Tap", "GuestMemory", "X86", "CZydis"],
            resources: [.embedInCode("Report/report.html")], swiftSettings: strict),
        .systemLibrary(
            name: "CCompression",
            providers: [.apt(["zlib1g-dev", "libbz2-dev", "liblzma-dev", "liblz4-dev", "libzstd-dev"])]),
        .target(
            name: "Boot", dependencies: ["Support", "GuestMemory", "CCompression"], swiftSettings: strict),
        .systemLibrary(name: "CSlirp", providers: [.apt(["libslirp-dev"])]),
        .target(
            name: "Devices", dependencies: ["Support", "GuestMemory", "CHost", "CSlirp", "Tap"],
            swiftSettings: strict),
        .target(
            name: "GuestInterfaces", dependencies: ["Support", "Engine", "Devices", "Tap"],
            swiftSettings: strict),
        .systemLibrary(name: "CDwarf", providers: [.apt(["libdw-dev"])]),
        .target(name: "Debug", dependencies: ["Support", "X86", "Devices", "CDwarf"], swiftSettings: strict),
        .target(name: "Monitor", dependencies: ["Support", "Devices", "Trace"], swiftSettings: strict),
        .target(
            name: "Machine",
            dependencies: [
                "Boot", "CHost", "Debug", "Devices", "Engine", "GuestInterfaces", "Monitor", "Support", "Tap",
                "Trace",
            ],
            swiftSettings: strict),
        .target(name: "CLauncher"),
        .systemLibrary(name: "CSeccomp", providers: [.apt(["libseccomp-dev"])]),
        .target(
            name: "LguestKit", dependencies: ["Machine", "Tap", "Trace", "CHost", "CLauncher", "CSeccomp"],
            swiftSettings: strict),
        .executableTarget(
            name: "lguest",
            dependencies: [
                "LguestKit", "Boot", "Monitor", "Support",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: strict),

        // Tests
        .target(
            name: "TestSupport", dependencies: ["LguestKit", "Boot", "Support"], path: "Tests/TestSupport",
            swiftSettings: strict),
        .testTarget(name: "GuestMemoryTests", dependencies: ["GuestMemory"], swiftSettings: strict),
        .testTarget(
            name: "X86Tests", dependencies: ["X86", "GuestMemory", "CPUTestSupport"], swiftSettings: strict),
        .testTarget(
            name: "EngineTests", dependencies: ["Engine", "X86", "GuestMemory", "Support", "CPUTestSupport"],
            swiftSettings: strict),
        .testTarget(
            name: "BootTests", dependencies: ["Boot", "Support", "GuestMemory", "CCompression"],
            swiftSettings: strict),
        .testTarget(name: "DebugTests", dependencies: ["Debug", "Support"], swiftSettings: strict),
        .testTarget(name: "MonitorTests", dependencies: ["Monitor"], swiftSettings: strict),
        .testTarget(
            name: "TraceTests", dependencies: ["Trace", "Tap", "Support", "GuestMemory"],
            swiftSettings: strict),
        .testTarget(
            name: "DevicesTests", dependencies: ["Devices", "Support", "GuestMemory", "CHost"],
            swiftSettings: strict),
        .testTarget(
            name: "GuestInterfacesTests", dependencies: ["GuestInterfaces", "Devices", "Engine", "Support"],
            swiftSettings: strict),
        .testTarget(
            name: "MachineTests", dependencies: ["LguestKit", "Boot", "TestSupport"], swiftSettings: strict),
        .testTarget(
            name: "CommandLineTests",
            dependencies: [
                "lguest", "LguestKit", "Boot", "Support", "TestSupport", "Trace", "sandbox-probe",
                "container-profile",
            ],
            swiftSettings: strict),
        .target(name: "CRawCalls", path: "Tests/Support/CRawCalls"),
        .executableTarget(
            name: "sandbox-probe", dependencies: ["LguestKit", "CRawCalls"],
            path: "Tests/Support/sandbox-probe", swiftSettings: strict),
        .executableTarget(
            name: "container-profile", dependencies: ["CSeccomp", "CRawCalls"],
            path: "Tests/Support/container-profile",
            swiftSettings: strict),
        .target(name: "CHostOracle", path: "Tests/Support/CHostOracle"),
        .target(
            name: "CPUTestSupport", dependencies: ["CHostOracle", "CZydis", "Engine", "Trace", "X86"],
            path: "Tests/Support/CPUTestSupport", swiftSettings: strict),
        .executableTarget(
            name: "cpu-compare", dependencies: ["CPUTestSupport"], path: "Tests/Support/cpu-compare",
            swiftSettings: strict),
    ]
)
