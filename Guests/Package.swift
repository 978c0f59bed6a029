// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0
//
// Describes the guest to editors (SourceKit-LSP), and compiles it: `swift build --triple i686-unknown-none-elf`.
// Linking an image for a bare machine is beyond SwiftPM, so what builds it is the Makefile beside this file.
import PackageDescription

let machine = ["-march=i686", "-mno-sse", "-mno-mmx", "-ffreestanding", "-fno-pic", "-fno-stack-protector"]

let package = Package(
    name: "BuiltinGuest",
    targets: [
        .target(
            name: "Machine",
            cSettings: [.unsafeFlags(machine + ["-fno-builtin"])]
        ),
        .target(
            name: "BuiltinGuest",
            dependencies: ["Machine"],
            swiftSettings: [
                .enableExperimentalFeature("Embedded"),
                .unsafeFlags(
                    ["-wmo", "-Osize", "-parse-as-library", "-enforce-exclusivity=unchecked"]
                        + ["-Xfrontend", "-disable-stack-protector", "-Xfrontend", "-function-sections"]
                        + machine.flatMap { ["-Xcc", $0] }
                ),
            ]
        ),
    ]
)
