// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0
//
// The processor under libFuzzer: Fuzz/run builds and runs it. The sources are those of the main package, by symbolic
// link, so that they can be built with coverage and the address sanitizer.
import PackageDescription

let instrumented: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .unsafeFlags(["-sanitize=fuzzer,address"]),
]

let package = Package(
    name: "Fuzz",
    targets: [
        .target(name: "CHost"),
        .target(name: "GuestMemory", dependencies: ["CHost"], swiftSettings: instrumented),
        .target(name: "X86", dependencies: ["GuestMemory", "CHost"], swiftSettings: instrumented),
        .target(name: "Engine", dependencies: ["X86"], swiftSettings: instrumented),
        .executableTarget(
            name: "FuzzCPU", dependencies: ["Engine", "X86", "GuestMemory"], swiftSettings: instrumented,
            linkerSettings: [.unsafeFlags(["-sanitize=fuzzer,address", "-use-ld=lld"])]),
    ]
)
