// SPDX-License-Identifier: Apache-2.0
//
// A date and time of day in UTC, as clocks on the wall show it.

/// A moment in the Gregorian calendar. Fields out of range count on into the next larger one.
struct CivilTime: Equatable {
    var year: Int
    /// 1–12.
    var month: Int
    /// 1–31.
    var day: Int
    var hour: Int
    var minute: Int
    var second: Int

    init(secondsSince1970: Int64) {
        var days = Int(secondsSince1970 / 86400)
        var rest = Int(secondsSince1970 % 86400)
        if rest < 0 {
            rest += 86400
            days -= 1
        }
        (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60)
        // Years begin in March here, so that leap days come last; eras have 400 years of 146,097 days.
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let inEra = shifted - era * 146_097
        let yearOfEra = (inEra - inEra / 1460 + inEra / 36524 - inEra / 146_096) / 365
        let inYear = inEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let march = (5 * inYear + 2) / 153
        day = inYear - (153 * march + 2) / 5 + 1
        month = march < 10 ? march + 3 : march - 9
        year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    }

    private var daysSince1970: Int {
        let shifted = month <= 2 ? year - 1 : year
        let era = (shifted >= 0 ? shifted : shifted - 399) / 400
        let yearOfEra = shifted - era * 400
        let inYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + inYear - 719_468
    }

    var secondsSince1970: Int64 {
        Int64(daysSince1970) * 86400 + Int64(hour) * 3600 + Int64(minute) * 60 + Int64(second)
    }

    /// 1 for Sunday to 7 for Saturday; the first of January 1970 was a Thursday.
    var weekday: Int { ((daysSince1970 + 4) % 7 + 7) % 7 + 1 }
}
