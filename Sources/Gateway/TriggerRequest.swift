/// The body of a trigger: `{"workflow": "summarize", "input": "…"}`.
///
/// Read by a parser of its own, because people see its errors: they say where and why, name unknown fields, and refuse
/// what a lenient parser would guess about (a field given twice, a lone surrogate).
struct TriggerRequest: Sendable, Hashable {
    var workflow: String
    var input: String

    /// - Parameter body: RFC 8259 JSON in UTF-8.
    /// - Throws: ``JSONProblem``.
    init(json body: some Collection<UInt8>) throws(JSONProblem) {
        var workflow: String?
        var input: String?
        var parser = ObjectParser(Array(body))
        try parser.forEachMember { (name, parser) throws(JSONProblem) in
            switch name {
            case "workflow":
                try parser.once(name, workflow)
                workflow = try parser.stringValue(of: name)
            case "input":
                try parser.once(name, input)
                input = try parser.stringValue(of: name)
            default:
                throw parser.problem("unknown field \"\(name)\"; the fields are \"workflow\" and \"input\"")
            }
        }
        guard let workflow else { throw JSONProblem(reason: "the field \"workflow\" is missing") }
        guard let input else { throw JSONProblem(reason: "the field \"input\" is missing") }
        self.workflow = workflow
        self.input = input
    }
}

/// Why a body is not the JSON that is expected.
struct JSONProblem: Error, Sendable, Hashable {
    var reason: String
    /// Line, column (both from 1) and byte (from 0), if it is about a place.
    var place: Place?

    struct Place: Sendable, Hashable {
        var line: Int
        var column: Int
        var byte: Int
    }

    var description: String {
        guard let place else { return reason }
        return "\(reason), at line \(place.line), column \(place.column) (byte \(place.byte))"
    }
}

/// Reads one JSON object whose values are strings.
private struct ObjectParser {
    private let bytes: [UInt8]
    private var position = 0
    /// Where the current member's name begins, for errors about it.
    private var memberStart = 0

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        // RFC 8259 lets parsers ignore a byte order mark.
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { position = 3 }
    }

    mutating func forEachMember(
        _ body: (String, inout ObjectParser) throws(JSONProblem) -> Void
    ) throws(JSONProblem) {
        skipSpace()
        guard position < bytes.count else { throw fail("the body is empty") }
        guard take("{") else { throw fail("expected an object, \"{\", not \(found)") }
        skipSpace()
        if !take("}") {
            repeat {
                skipSpace()
                memberStart = position
                guard peek == UInt8(ascii: "\"") else { throw fail("expected a field name in quotes, not \(found)") }
                let name = try string()
                skipSpace()
                guard take(":") else { throw fail("expected \":\" after \"\(name)\", not \(found)") }
                skipSpace()
                try body(name, &self)
                skipSpace()
            } while take(",")
            guard take("}") else { throw fail("expected \",\" or \"}\", not \(found)") }
        }
        skipSpace()
        guard position == bytes.count else { throw fail("expected nothing after the object, not \(found)") }
    }

    func once(_ name: String, _ value: String?) throws(JSONProblem) {
        if value != nil { throw problem("the field \"\(name)\" is given twice") }
    }

    mutating func stringValue(of name: String) throws(JSONProblem) -> String {
        guard position < bytes.count else { throw fail("expected the value of \"\(name)\", not \(found)") }
        guard peek == UInt8(ascii: "\"") else { throw fail("\"\(name)\" must be a string, not \(found)") }
        return try string()
    }

    /// An error about the current member.
    func problem(_ reason: String) -> JSONProblem { JSONProblem(reason: reason, place: place(of: memberStart)) }

    // MARK: Strings

    private mutating func string() throws(JSONProblem) -> String {
        let start = position
        position += 1
        var unescaped: [UInt8] = []
        var run = position
        while position < bytes.count {
            switch bytes[position] {
            case UInt8(ascii: "\""):
                unescaped += bytes[run..<position]
                position += 1
                guard let text = String(validating: unescaped, as: UTF8.self) else {
                    position = firstInvalidByte(from: start)
                    throw fail("the text is not UTF-8")
                }
                return text
            case UInt8(ascii: "\\"):
                unescaped += bytes[run..<position]
                try escape(into: &unescaped)
                run = position
            case 0..<0x20:
                throw fail("a control character in a string must be written as an escape such as \\u0000 or \\n")
            default:
                position += 1
            }
        }
        position = start
        throw fail("the string that begins here does not end")
    }

    private mutating func escape(into text: inout [UInt8]) throws(JSONProblem) {
        let start = position
        position += 1
        guard let kind = peek else { throw fail("the body ends within an escape") }
        position += 1
        switch kind {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(kind)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0C)
        case UInt8(ascii: "n"): text.append(0x0A)
        case UInt8(ascii: "r"): text.append(0x0D)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"):
            guard let scalar = try unicodeScalar() else {
                position = start
                throw fail("a \\u escape of half a surrogate pair")
            }
            text += UTF8.encode(scalar).map(Array.init) ?? []
        default:
            position = start
            throw fail("an escape that JSON does not have")
        }
    }

    /// The scalar of a `\u` escape or of a pair of them; `nil` for half a pair.
    private mutating func unicodeScalar() throws(JSONProblem) -> Unicode.Scalar? {
        let first = try hexadecimalUnit()
        if let scalar = Unicode.Scalar(first) { return scalar }
        guard (0xD800..<0xDC00).contains(first), bytes[position...].starts(with: [0x5C, 0x75]) else { return nil }
        position += 2
        let second = try hexadecimalUnit()
        guard (0xDC00..<0xE000).contains(second) else { return nil }
        return Unicode.Scalar(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00))
    }

    private mutating func hexadecimalUnit() throws(JSONProblem) -> UInt32 {
        var unit: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = peek, let digit = Character(Unicode.Scalar(byte)).hexDigitValue, byte < 0x80 else {
                throw fail("a \\u escape needs four hexadecimal digits")
            }
            unit = unit << 4 | UInt32(digit)
            position += 1
        }
        return unit
    }

    /// Where the first byte sequence that is not UTF-8 begins, from `start` on.
    private func firstInvalidByte(from start: Int) -> Int {
        var place = start
        var decoder = Unicode.UTF8.ForwardParser()
        var iterator = bytes[start...].makeIterator()
        while case .valid(let encoded) = decoder.parseScalar(from: &iterator) { place += encoded.count }
        return place
    }

    // MARK: Tokens and places

    private var peek: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func skipSpace() {
        while let byte = peek, byte == 0x20 || (0x09...0x0D).contains(byte) && byte != 0x0B && byte != 0x0C {
            position += 1
        }
    }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard peek == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    private var found: String {
        switch peek {
        case nil: "the end of the body"
        case UInt8(ascii: "{"): "an object"
        case UInt8(ascii: "["): "an array"
        case UInt8(ascii: "\""): "a string"
        case UInt8(ascii: "t"), UInt8(ascii: "f"): "a boolean"
        case UInt8(ascii: "n"): "null"
        case let byte? where (0x30...0x39).contains(byte) || byte == UInt8(ascii: "-"): "a number"
        case let byte? where (0x21..<0x7F).contains(byte): "\"\(Character(Unicode.Scalar(byte)))\""
        case let byte?: "byte 0x\(String(byte, radix: 16))"
        }
    }

    private func fail(_ reason: String) -> JSONProblem { JSONProblem(reason: reason, place: place(of: position)) }

    private func place(of byte: Int) -> JSONProblem.Place {
        let before = bytes[..<min(byte, bytes.count)]
        let lineStart = before.lastIndex(of: 0x0A).map { $0 + 1 } ?? 0
        // A column counts characters, not bytes: continuation bytes of UTF-8 do not begin one.
        let column = before[lineStart...].count { $0 & 0xC0 != 0x80 } + 1
        return JSONProblem.Place(line: before.count { $0 == 0x0A } + 1, column: column, byte: byte)
    }
}
