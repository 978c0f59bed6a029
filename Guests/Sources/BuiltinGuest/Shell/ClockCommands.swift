// SPDX-License-Identifier: Apache-2.0
//
// `timer`, `time`, `sleep`, `spin`: clocks and waiting.
import Machine

enum ClockCommands {
    static func timer(milliseconds: UInt32?) {
        if let milliseconds {
            measure(min(max(milliseconds, 1), 4000))
        } else {
            measure(1)
            measure(10)
            measure(100)
        }
    }

    private static func measure(_ milliseconds: UInt32) {
        let count = Interrupts.timer.count
        Interrupts.disable()
        let start = Timer.now
        Hypervisor.setClockEvent(nanoseconds: milliseconds * 1_000_000)
        while Interrupts.timer.count == count {
            Hypervisor.halt()
            Interrupts.disable()
        }
        Interrupts.enable()
        let took = Timer.microseconds(Interrupts.timer.tsc &- start)
        say("asked for \(UInt64(milliseconds) * 1000, width: 6) us, the interrupt came after \(took) us")
    }

    static func time() {
        let time = SharedPage.time
        let date = CalendarDate(secondsSince1970: time.seconds)
        let day: Text = "\(date.year)-\(zeros: date.month, width: 2)-\(zeros: date.day, width: 2)"
        let clock: Text =
            "\(zeros: date.hour, width: 2):\(zeros: date.minute, width: 2):\(zeros: date.second, width: 2)"
        let raw: Text = "\(time.seconds) s, \(time.nanoseconds) ns"
        say("wall clock  \(day) \(clock) UTC, as of the latest interrupt (\(raw))")
        say("rdtsc       \(Timer.now), at \(SharedPage.tscKilohertz) kHz")
        let keys = Interrupts.console.count
        say("interrupts  \(Interrupts.timer.count) from the clock, \(keys) from the console")
    }

    static func spin(seconds: UInt32) {
        Timer.spin(microseconds: UInt64(seconds) * 1_000_000)
        say("spun for \(seconds) s")
    }

    static func sleep(seconds: UInt32) {
        let start = Timer.now
        Timer.sleep(microseconds: UInt64(seconds) * 1_000_000)
        say("slept for \(Timer.microseconds(Timer.now - start) / 1000) ms")
    }
}

/// A date in the calendar, counted year by year and month by month: slow and easy to believe.
struct CalendarDate {
    var year: UInt32
    var month: UInt32
    var day: UInt32
    var hour: UInt32
    var minute: UInt32
    var second: UInt32

    init(secondsSince1970 seconds: UInt32) {
        second = seconds % 60
        minute = seconds / 60 % 60
        hour = seconds / 3600 % 24
        var days = seconds / 86400
        var year: UInt32 = 1970
        var month: UInt32 = 1
        func isLeap(_ year: UInt32) -> Bool { year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) }
        while days >= (isLeap(year) ? 366 : 365) {
            days -= isLeap(year) ? 366 : 365
            year += 1
        }
        func length(_ month: UInt32) -> UInt32 {
            switch month {
            case 2: isLeap(year) ? 29 : 28
            case 4, 6, 9, 11: 30
            default: 31
            }
        }
        while days >= length(month) {
            days -= length(month)
            month += 1
        }
        self.year = year
        self.month = month
        day = days + 1
    }
}
