import Avro

extension AvroValue {
    /// The notation of `avro_oracle.py`, in which both sides can print a value.
    var rendered: String {
        switch self {
        case .null: "n"
        case .boolean(let value): value ? "t" : "f"
        case .int(let value): "\(value)"
        case .long(let value): "\(value)"
        case .float(let value): AvroValue.rendered(Double(value))
        case .double(let value): AvroValue.rendered(value)
        case .bytes(let bytes), .fixed(let bytes): "x" + bytes.hexadecimal
        case .string(let text), .enumeration(let text): "s" + Array(text.utf8).hexadecimal
        case .array(let values): "[" + values.map(\.rendered).joined(separator: ",") + "]"
        case .map(let values): AvroValue.rendered(values.map { ($0.key, $0.value) })
        case .record(let fields): AvroValue.rendered(fields.map { ($0.name, $0.value) })
        case .union(_, let value): value.rendered
        }
    }

    private static func rendered(_ value: Double) -> String {
        let digits = String(value.bitPattern, radix: 16)
        return "d" + String(repeating: "0", count: 16 - digits.count) + digits
    }

    private static func rendered(_ members: [(String, AvroValue)]) -> String {
        let texts = members.map { (name: Array($0.0.utf8).hexadecimal, value: $0.1.rendered) }
            .sorted { ($0.name, $0.value) < ($1.name, $1.value) }
        return "{" + texts.map { $0.name + ":" + $0.value }.joined(separator: ",") + "}"
    }
}

// Written for speed without optimisation: the oracle's tests turn megabytes over.
extension [UInt8] {
    private static let digits = [UInt8]("0123456789abcdef".utf8)
    /// The value of each hexadecimal digit's character, 255 for others.
    private static let digitValues: [UInt8] = (0..<256).map { code in
        digits.firstIndex(of: UInt8(code)).map { UInt8($0) } ?? 255
    }

    var hexadecimal: String {
        String(unsafeUninitializedCapacity: 2 * count) { buffer in
            var place = 0
            for byte in self {
                buffer[place] = [UInt8].digits[Int(byte &>> 4)]
                buffer[place &+ 1] = [UInt8].digits[Int(byte & 15)]
                place &+= 2
            }
            return place
        }
    }

    init(hexadecimal text: String) throws {
        let digits = [UInt8](text.utf8)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(digits.count / 2)
        var place = 0
        while place < digits.count {
            let high = [UInt8].digitValues[Int(digits[place])]
            let low = place + 1 < digits.count ? [UInt8].digitValues[Int(digits[place + 1])] : 255
            guard high < 16, low < 16 else { throw AvroError(.malformed, "\"\(text)\" is not hexadecimal") }
            bytes.append(high &<< 4 | low)
            place += 2
        }
        self = bytes
    }
}
