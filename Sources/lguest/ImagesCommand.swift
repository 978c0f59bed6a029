// SPDX-License-Identifier: Apache-2.0
//
// `lguest images`: what `lguest boot debian` has fetched.

import ArgumentParser
import LguestKit
import Support

struct ImagesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "images", abstract: "List, fetch and remove cached images.",
        subcommands: [ListCommand.self, FetchCommand.self, RemoveCommand.self],
        defaultSubcommand: ListCommand.self)

    struct ListCommand: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list", abstract: "List the images (the default).")

        func run() throws {
            let entries = try ImageCache().entries
            if entries.isEmpty { print("no images; 'lguest boot debian' fetches one") }
            for entry in entries { print("\(entry.name)  \(entry.description)") }
        }
    }

    struct FetchCommand: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "fetch", abstract: "Fetch Debian's kernels without booting them.")

        @Argument(help: ArgumentHelp("Which of Debian's kernels.", valueName: "686|686-pae"))
        var flavours: [DebianImage.Flavour] = [.plain]

        func run() throws {
            let cache = try ImageCache()
            for flavour in flavours where DebianImage.find(flavour, in: cache) == nil {
                _ = try DebianImage.fetch(flavour, into: cache, progress: Progress())
            }
        }
    }

    struct RemoveCommand: ParsableCommand {
        static let configuration = CommandConfiguration(commandName: "rm", abstract: "Remove images.")

        @Argument(help: ArgumentHelp("Names from the list.", valueName: "NAME"))
        var names: [String]

        func run() throws {
            let cache = try ImageCache()
            for name in names { try cache.remove(name) }
        }
    }
}
