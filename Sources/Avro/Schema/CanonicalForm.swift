/// The specification's Parsing Canonical Form: what of a schema decides how bytes are read, in one spelling.
enum CanonicalForm {
    /// - Parameter fillingEmptyTypes: whether types that avro-c cannot handle are replaced by ones of the same bytes:
    ///   records without fields get a null, fixed types of no bytes become such records, and enums without symbols, of
    ///   which no value exists, get one.
    static func text(of type: AvroType, _ definitions: [AvroDefinition], fillingEmptyTypes: Bool = false) -> String {
        var defined: Set<Int> = []
        let complete = fillingEmptyTypes ? definitions.map(filled) : definitions
        return text(type, complete, &defined)
    }

    private static func filled(_ definition: AvroDefinition) -> AvroDefinition {
        var definition = definition
        let nothing = AvroField(name: "nothing", aliases: [], type: .primitive(.null, logicalType: nil))
        switch definition.shape {
        case .record(let fields) where fields.isEmpty: definition.shape = .record([nothing])
        case .fixed(size: 0, _): definition.shape = .record([nothing])
        case .enumeration(let symbols, _) where symbols.isEmpty:
            definition.shape = .enumeration(symbols: ["nothing"], defaultSymbol: nil)
        default: break
        }
        return definition
    }

    private static func text(_ type: AvroType, _ definitions: [AvroDefinition], _ defined: inout Set<Int>) -> String {
        switch type {
        case .primitive(let primitive, _): return "\"\(primitive.rawValue)\""
        case .array(let element): return "{\"type\":\"array\",\"items\":\(text(element, definitions, &defined))}"
        case .map(let element): return "{\"type\":\"map\",\"values\":\(text(element, definitions, &defined))}"
        case .union(let branches):
            return "[" + branches.map { text($0, definitions, &defined) }.joined(separator: ",") + "]"
        case .named(let index):
            let definition = definitions[index]
            guard defined.insert(index).inserted else { return "\"\(definition.name)\"" }
            let head = "{\"name\":\"\(definition.name)\",\"type\":\"\(definition.kind)\","
            switch definition.shape {
            case .fixed(let size, _): return head + "\"size\":\(size)}"
            case .enumeration(let symbols, _):
                return head + "\"symbols\":[" + symbols.map { "\"\($0)\"" }.joined(separator: ",") + "]}"
            case .record(let fields):
                let texts = fields.map {
                    "{\"name\":\"\($0.name)\",\"type\":\(text($0.type, definitions, &defined))}"
                }
                return head + "\"fields\":[" + texts.joined(separator: ",") + "]}"
            }
        }
    }

    /// CRC-64-AVRO (specification, "Schema Fingerprints").
    static func fingerprint(_ text: String) -> UInt64 {
        text.utf8.reduce(emptyFingerprint) { crc, byte in
            (crc >> 8) ^ fingerprintTable[Int(UInt8(truncatingIfNeeded: crc) ^ byte)]
        }
    }

    private static let emptyFingerprint: UInt64 = 0xc15d_213a_a4d7_a795

    private static let fingerprintTable: [UInt64] = (0..<256).map { index in
        (0..<8).reduce(UInt64(index)) { crc, _ in (crc >> 1) ^ (emptyFingerprint & (0 &- (crc & 1))) }
    }
}
