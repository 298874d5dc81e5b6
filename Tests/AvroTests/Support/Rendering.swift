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

extension [UInt8] {
    var hexadecimal: String {
        let digits = [UInt8]("0123456789abcdef".utf8)
        return String(decoding: flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    init(hexadecimal text: String) throws {
        let digits = [UInt8](text.utf8)
        self = try stride(from: 0, to: digits.count, by: 2).map { index in
            guard index + 1 < digits.count,
                let byte = UInt8(String(decoding: digits[index...index + 1], as: UTF8.self), radix: 16)
            else { throw AvroError(.malformed, "\"\(text)\" is not hexadecimal") }
            return byte
        }
    }
}
