import NIOCore
import OrchestraCore

/// JSON that a gateway answers. Members keep their order.
indirect enum JSONValue: Sendable {
    case null
    case bool(Bool)
    case integer(Int)
    case string(String)
    case array([JSONValue])
    case object([(String, JSONValue)])

    static func string(_ text: String?) -> JSONValue { text.map(JSONValue.string) ?? .null }

    /// An instant as RFC 3339 in UTC with milliseconds.
    static func time(_ timestamp: Timestamp?) -> JSONValue { timestamp.map { .string($0.rfc3339) } ?? .null }

    func encoded() -> ByteBuffer {
        var buffer = ByteBuffer()
        write(to: &buffer)
        buffer.writeInteger(UInt8(ascii: "\n"))
        return buffer
    }

    private func write(to buffer: inout ByteBuffer) {
        switch self {
        case .null: buffer.writeStaticString("null")
        case .bool(let value): buffer.writeString(value ? "true" : "false")
        case .integer(let value): buffer.writeString(String(value))
        case .string(let text): buffer.writeJSONString(text)
        case .array(let values):
            buffer.writeStaticString("[")
            for (index, value) in values.enumerated() {
                if index > 0 { buffer.writeStaticString(",") }
                value.write(to: &buffer)
            }
            buffer.writeStaticString("]")
        case .object(let members):
            buffer.writeStaticString("{")
            for (index, member) in members.enumerated() {
                if index > 0 { buffer.writeStaticString(",") }
                buffer.writeJSONString(member.0)
                buffer.writeStaticString(":")
                member.1.write(to: &buffer)
            }
            buffer.writeStaticString("}")
        }
    }
}

extension ByteBuffer {
    /// A JSON string: quotes, backslashes and control characters escaped, everything else as UTF-8. Runs of plain
    /// bytes are copied whole.
    fileprivate mutating func writeJSONString(_ text: String) {
        var text = text
        writeInteger(UInt8(ascii: "\""))
        text.withUTF8 { bytes in
            var start = 0
            for (index, byte) in bytes.enumerated() where byte < 0x20 || byte == 0x22 || byte == 0x5C {
                writeBytes(bytes[start..<index])
                writeEscape(of: byte)
                start = index + 1
            }
            writeBytes(bytes[start...])
        }
        writeInteger(UInt8(ascii: "\""))
    }

    private mutating func writeEscape(of byte: UInt8) {
        switch byte {
        case 0x22: writeStaticString("\\\"")
        case 0x5C: writeStaticString("\\\\")
        case 0x0A: writeStaticString("\\n")
        case 0x0D: writeStaticString("\\r")
        case 0x09: writeStaticString("\\t")
        default:
            let digits = Array("0123456789abcdef".utf8)
            writeStaticString("\\u00")
            writeMultipleIntegers(digits[Int(byte >> 4)], digits[Int(byte & 15)])
        }
    }
}

extension Timestamp {
    /// `2026-11-22T13:50:00.000Z`. The years 0 to 9999 take four digits.
    var rfc3339: String {
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
