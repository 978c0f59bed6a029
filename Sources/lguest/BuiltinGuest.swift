// SPDX-License-Identifier: Apache-2.0
//
// Finds the built-in guest's file, in an installation as in a build folder.

import Support

enum BuiltinGuest {
    /// The variable that names the file, for whom the usual places do not suit.
    static let variable = "LGUEST_BUILTIN_GUEST"

    /// The path of the built-in guest. Throws `.badInput` when it is nowhere.
    static func find() throws(LguestError) -> String {
        try find(
            named: ProcessFacts.environment(variable), executable: ProcessFacts.executablePath,
            exists: ProcessFacts.isReadable)
    }

    /// - Parameters:
    ///   - named: the variable's value, or nil.
    ///   - executable: absolute path of our own program, or nil where it is unknown.
    ///   - exists: whether a file can be read.
    static func find(
        named: String?, executable: String?, exists: (String) -> Bool
    ) throws(LguestError) -> String {
        if let named, !named.isEmpty {
            guard exists(named) else {
                throw LguestError(
                    .badInput, "\(named.asOneLine): cannot be read", hint: "\(variable) names it")
            }
            return named
        }
        if let found = candidates(executable: executable).first(where: exists) { return found }
        throw LguestError(
            .badInput, "the built-in guest is not there",
            hint: "build it with 'make', or let \(variable) name its file")
    }

    /// Where it may be, the best place first: installed beside the program, then in the package that the
    /// program was built in (`.build/<triple>/release/lguest`), then below the working directory.
    static func candidates(executable: String?) -> [String] {
        var places: [String] = []
        if let executable {
            var folder = executable.split(separator: "/").dropLast()
            places.append(
                "/" + (folder.dropLast() + ["share", "lguest", "builtin-guest"]).joined(separator: "/"))
            for _ in 0..<4 where !folder.isEmpty {
                folder = folder.dropLast()
                places += built.map { "/" + (folder.map(String.init) + [$0]).joined(separator: "/") }
            }
        }
        return places + built + ["guest.elf"]
    }

    /// What the build makes, relative to the package's folder.
    private static let built = ["Guests/build/builtin-guest", "Guests/build/guest.elf"]
}
