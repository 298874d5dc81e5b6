extension Timestamp {
    /// `2026-11-22T13:50:00.000Z`. The years 0 to 9999 take four digits.
    package var rfc3339: String {
        let (days, millisecondsOfDay) = millisecondsSinceEpoch.quotientAndRemainder(flooringBy: 86_400_000)
        let (year, month, day) = Timestamp.civil(daysSinceEpoch: days)
        let (hours, rest) = millisecondsOfDay.quotientAndRemainder(dividingBy: 3_600_000)
        let (minutes, milliseconds) = rest.quotientAndRemainder(dividingBy: 60_000)
        return "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))T\(padded(hours, 2)):\(padded(minutes, 2)):"
            + "\(padded(milliseconds / 1000, 2)).\(padded(milliseconds % 1000, 3))Z"
    }

    /// The Gregorian date of a day: Howard Hinnant's `civil_from_days` ("chrono-Compatible Low-Level Date Algorithms").
    private static func civil(daysSinceEpoch: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let (era, dayOfEra) = (daysSinceEpoch + 719_468).quotientAndRemainder(flooringBy: 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }

    private func padded(_ number: Int64, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
}

extension Int64 {
    fileprivate func quotientAndRemainder(flooringBy divisor: Int64) -> (quotient: Int64, remainder: Int64) {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }
}
