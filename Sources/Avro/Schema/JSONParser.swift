/// Parses JSON (RFC 8259) strictly: no comments, no duplicate names, bounded nesting.
package struct JSONParser {
    /// How deep arrays and objects may nest.
    package static let maximumDepth = 256

    private let bytes: [UInt8]
    private var position = 0
    private var depth = 0

    private init(_ text: String) { bytes = Array(text.utf8) }

    /// - Throws: ``AvroError`` with `invalidSchema` that names line and column.
    package static func parse(_ text: String) throws(AvroError) -> JSONValue {
        var parser = JSONParser(text)
        let value = try parser.parseValue()
        parser.skipSpace()
        guard parser.position == parser.bytes.count else { throw parser.error("text after the end of the value") }
        return value
    }

    private mutating func parseValue() throws(AvroError) -> JSONValue {
        skipSpace()
        guard let byte = peek() else { throw error("the text ends where a value is expected") }
        switch byte {
        case UInt8(ascii: "{"):
            return try nested { (parser: inout JSONParser) throws(AvroError) in try parser.parseObject() }
        case UInt8(ascii: "["):
            return try nested { (parser: inout JSONParser) throws(AvroError) in try parser.parseArray() }
        case UInt8(ascii: "\""): return .string(try parseString())
        case UInt8(ascii: "t"): return try parseWord("true", .boolean(true))
        case UInt8(ascii: "f"): return try parseWord("false", .boolean(false))
        case UInt8(ascii: "n"): return try parseWord("null", .null)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number(try parseNumber())
        default: throw error("a value is expected")
        }
    }

    private mutating func nested(
        _ parse: (inout JSONParser) throws(AvroError) -> JSONValue
    ) throws(AvroError) -> JSONValue {
        guard depth < JSONParser.maximumDepth else {
            throw error("nested deeper than \(JSONParser.maximumDepth) levels")
        }
        depth += 1
        defer { depth -= 1 }
        position += 1
        return try parse(&self)
    }

    private mutating func parseObject() throws(AvroError) -> JSONValue {
        var members: [JSONValue.Member] = []
        var names: Set<String> = []
        if accept(UInt8(ascii: "}")) { return .object(members) }
        repeat {
            skipSpace()
            guard peek() == UInt8(ascii: "\"") else { throw error("a member name in double quotes is expected") }
            let name = try parseString()
            guard names.insert(name).inserted else { throw error("the name \"\(name)\" occurs twice in one object") }
            guard accept(UInt8(ascii: ":")) else { throw error("\":\" is expected after \"\(name)\"") }
            members.append(JSONValue.Member(name: name, value: try parseValue()))
        } while accept(UInt8(ascii: ","))
        guard accept(UInt8(ascii: "}")) else { throw error("\",\" or \"}\" is expected") }
        return .object(members)
    }

    private mutating func parseArray() throws(AvroError) -> JSONValue {
        var elements: [JSONValue] = []
        if accept(UInt8(ascii: "]")) { return .array(elements) }
        repeat { elements.append(try parseValue()) } while accept(UInt8(ascii: ","))
        guard accept(UInt8(ascii: "]")) else { throw error("\",\" or \"]\" is expected") }
        return .array(elements)
    }

    private mutating func parseWord(_ word: String, _ value: JSONValue) throws(AvroError) -> JSONValue {
        guard bytes[position...].starts(with: word.utf8) else { throw error("a value is expected") }
        position += word.utf8.count
        return value
    }

    private mutating func parseNumber() throws(AvroError) -> String {
        let start = position
        if peek() == UInt8(ascii: "-") { position += 1 }
        if peek() == UInt8(ascii: "0") { position += 1 } else { try skipDigits() }
        if peek() == UInt8(ascii: ".") {
            position += 1
            try skipDigits()
        }
        if peek() == UInt8(ascii: "e") || peek() == UInt8(ascii: "E") {
            position += 1
            if peek() == UInt8(ascii: "+") || peek() == UInt8(ascii: "-") { position += 1 }
            try skipDigits()
        }
        return String(decoding: bytes[start..<position], as: UTF8.self)
    }

    private mutating func skipDigits() throws(AvroError) {
        let start = position
        while let byte = peek(), (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { position += 1 }
        guard position > start else { throw error("a digit is expected") }
    }

    private mutating func parseString() throws(AvroError) -> String {
        position += 1
        var units: [UInt8] = []
        while true {
            guard let byte = peek() else { throw error("the text ends inside a string") }
            switch byte {
            case UInt8(ascii: "\""):
                position += 1
                return String(decoding: units, as: UTF8.self)
            case UInt8(ascii: "\\"):
                position += 1
                units.append(contentsOf: String(Character(try parseEscape())).utf8)
            case 0..<0x20: throw error("a control character must be escaped in a string")
            default:
                units.append(byte)
                position += 1
            }
        }
    }

    private mutating func parseEscape() throws(AvroError) -> Unicode.Scalar {
        guard let byte = peek() else { throw error("the text ends inside a string") }
        position += 1
        switch byte {
        case UInt8(ascii: "\""): return "\""
        case UInt8(ascii: "\\"): return "\\"
        case UInt8(ascii: "/"): return "/"
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{c}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"): return try parseUnicodeEscape()
        default: throw error("an unknown escape in a string")
        }
    }

    private mutating func parseUnicodeEscape() throws(AvroError) -> Unicode.Scalar {
        let unit = try parseHexadecimal()
        guard UTF16.isLeadSurrogate(unit) else {
            guard let scalar = Unicode.Scalar(unit) else { throw error("half a surrogate pair in a string") }
            return scalar
        }
        guard peek() == UInt8(ascii: "\\"), position + 1 < bytes.count, bytes[position + 1] == UInt8(ascii: "u") else {
            throw error("half a surrogate pair in a string")
        }
        position += 2
        let trail = try parseHexadecimal()
        guard UTF16.isTrailSurrogate(trail) else { throw error("half a surrogate pair in a string") }
        let value = 0x10000 + (UInt32(unit) - 0xd800) << 10 + (UInt32(trail) - 0xdc00)
        guard let scalar = Unicode.Scalar(value) else { throw error("half a surrogate pair in a string") }
        return scalar
    }

    private mutating func parseHexadecimal() throws(AvroError) -> UInt16 {
        guard position + 4 <= bytes.count else { throw error("the text ends inside an escape") }
        let digits = bytes[position..<position + 4]
        guard digits.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit && $0 < 0x80 }),
            let unit = UInt16(String(decoding: digits, as: UTF8.self), radix: 16)
        else { throw error("four hexadecimal digits are expected") }
        position += 4
        return unit
    }

    private func peek() -> UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func accept(_ byte: UInt8) -> Bool {
        skipSpace()
        guard peek() == byte else { return false }
        position += 1
        return true
    }

    private mutating func skipSpace() {
        while let byte = peek(), byte == 0x20 || byte == 0x09 || byte == 0x0a || byte == 0x0d { position += 1 }
    }

    private func error(_ problem: String) -> AvroError {
        let before = bytes[..<position]
        let line = before.count { $0 == 0x0a } + 1
        let lineStart = before.lastIndex(of: 0x0a).map { $0 + 1 } ?? 0
        return AvroError(.invalidSchema, "not JSON: line \(line), column \(position - lineStart + 1): \(problem)")
    }
}
