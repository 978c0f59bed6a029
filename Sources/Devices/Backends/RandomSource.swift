// SPDX-License-Identifier: Apache-2.0
//
// The one seam through which host randomness enters, so that a test (and later a replay) can say what
// was random instead.

/// Where random bytes come from.
public protocol RandomSource: AnyObject {
    func randomBytes(_ count: Int) -> [UInt8]
}
