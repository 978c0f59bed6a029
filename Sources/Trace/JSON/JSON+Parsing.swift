// SPDX-License-Identifier: Apache-2.0

extension JSON {
    /// The value that `bytes` hold; nil when they are no JSON.
    public init?(parsing bytes: [UInt8]) {
        do throws(JSONError) {
            self = try JSONParser.parse(bytes[...])
        } catch {
            return nil
        }
    }

    public init?(parsing text: String) { self.init(parsing: Array(text.utf8)) }
}
