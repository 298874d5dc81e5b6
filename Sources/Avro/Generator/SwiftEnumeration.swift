/// The Swift enum of an Avro enum.
struct SwiftEnumeration {
    let definition: AvroDefinition
    let symbols: [String]

    func text() throws(AvroError) -> String {
        guard !symbols.isEmpty else {
            throw AvroError(.invalidSchema, "the enum \(definition.name) has no symbols, so no value of it exists")
        }
        let name = try SwiftNames.typeName(definition)
        let cases = symbols.map { "    case \(SwiftNames.identifier($0))\n" }.joined()
        let reads = symbols.enumerated().dropLast()
            .map { "        case \($0): self = .\(SwiftNames.identifier($1))\n" }.joined()
        let writes = symbols.enumerated()
            .map { "        case .\(SwiftNames.identifier($1)): writer.writeEnumeration(\($0))\n" }.joined()
        return """
            \(SwiftNames.comment(definition.documentation, indent: ""))public enum \(name): String, AvroSerializable, CaseIterable, Codable {
            \(cases)
                public init(from reader: inout AvroReader) throws(AvroError) {
                    switch try reader.readEnumeration(count: \(symbols.count)) {
            \(reads)        default: self = .\(SwiftNames.identifier(symbols[symbols.count - 1]))
                    }
                }

                public func write(to writer: inout AvroWriter) {
                    switch self {
            \(writes)        }
                }

                public init(resolving value: AvroValue) throws(AvroError) {
                    self = try value.enumerationValue(of: \(name).self)
                }
            }

            """
    }
}
