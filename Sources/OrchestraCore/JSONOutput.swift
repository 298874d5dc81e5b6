/// JSON that is answered over HTTP. Members keep their order.
package indirect enum JSONOutput: Sendable {
    case null
    case bool(Bool)
    case integer(Int)
    case string(String)
    case array([JSONOutput])
    case object([(String, JSONOutput)])

    package static func string(_ text: String?) -> JSONOutput { text.map(JSONOutput.string) ?? .null }

    /// An instant as RFC 3339 in UTC with milliseconds.
    package static func time(_ timestamp: Timestamp?) -> JSONOutput { timestamp.map { .string($0.rfc3339) } ?? .null }

    /// The text in UTF-8, without white space.
    package func encoded() -> [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity(512)
        write(to: &text)
        return text
    }

    private func write(to text: inout [UInt8]) {
        switch self {
        case .null: text += "null".utf8
        case .bool(let value): text += value ? "true".utf8 : "false".utf8
        case .integer(let value): text += String(value).utf8
        case .string(let value): text.appendJSONString(value)
        case .array(let values):
            text.append(UInt8(ascii: "["))
            for (index, value) in values.enumerated() {
                if index > 0 { text.append(UInt8(ascii: ",")) }
                value.write(to: &text)
            }
            text.append(UInt8(ascii: "]"))
        case .object(let members):
            text.append(UInt8(ascii: "{"))
            for (index, member) in members.enumerated() {
                if index > 0 { text.append(UInt8(ascii: ",")) }
                text.appendJSONString(member.0)
                text.append(UInt8(ascii: ":"))
                member.1.write(to: &text)
            }
            text.append(UInt8(ascii: "}"))
        }
    }
}

extension [UInt8] {
    /// A JSON string: quotes, backslashes and control characters escaped, everything else as UTF-8. Runs of plain
    /// bytes are copied whole.
    package mutating func appendJSONString(_ string: String) {
        var string = string
        append(UInt8(ascii: "\""))
        string.withUTF8 { bytes in
            var start = 0
            for index in bytes.indices {
                let byte = bytes[index]
                guard byte < 0x20 || byte == 0x22 || byte == 0x5C else { continue }
                append(contentsOf: UnsafeBufferPointer(rebasing: bytes[start..<index]))
                appendEscape(of: byte)
                start = index + 1
            }
            append(contentsOf: UnsafeBufferPointer(rebasing: bytes[start...]))
        }
        append(UInt8(ascii: "\""))
    }

    private mutating func appendEscape(of byte: UInt8) {
        switch byte {
        case 0x22: self += "\\\"".utf8
        case 0x5C: self += "\\\\".utf8
        case 0x0A: self += "\\n".utf8
        case 0x0D: self += "\\r".utf8
        case 0x09: self += "\\t".utf8
        default: self += "\\u00".utf8 + [Hexadecimal.digit(byte >> 4), Hexadecimal.digit(byte & 15)]
        }
    }
}
