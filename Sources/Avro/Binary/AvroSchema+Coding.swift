extension AvroSchema {
    /// Decodes one value of this schema (with avro-c).
    ///
    /// - Parameter bytes: exactly one value.
    /// - Throws: ``AvroError`` for bytes that the schema does not allow.
    package func decode(_ bytes: [UInt8]) throws(AvroError) -> AvroValue {
        try GenericDecoder(self).decode(bytes)
    }

    /// Encodes one value of this schema.
    ///
    /// - Throws: ``AvroError`` with `malformed` when the value is not one of this schema.
    package func encode(_ value: AvroValue) throws(AvroError) -> [UInt8] {
        var writer = AvroWriter()
        try write(value, root, to: &writer)
        return try writer.finish()
    }

    private func write(_ value: AvroValue, _ type: AvroType, to writer: inout AvroWriter) throws(AvroError) {
        switch (type, value) {
        case (.primitive(let primitive, _), _): try write(value, primitive, to: &writer)
        case (.array(let element), .array(let values)):
            if !values.isEmpty { writer.writeLong(Int64(values.count)) }
            for value in values { try write(value, element, to: &writer) }
            writer.writeLong(0)
        case (.map(let element), .map(let values)):
            if !values.isEmpty { writer.writeLong(Int64(values.count)) }
            for (key, value) in values.sorted(by: AvroWriter.precedes) {
                writer.writeString(key)
                try write(value, element, to: &writer)
            }
            writer.writeLong(0)
        case (.union(let branches), .union(let branch, let inner)) where branches.indices.contains(branch):
            writer.writeLong(Int64(branch))
            try write(inner, branches[branch], to: &writer)
        case (.named(let index), _): try write(value, definitions[index], to: &writer)
        default: throw mismatch(value, type)
        }
    }

    private func write(
        _ value: AvroValue, _ definition: AvroDefinition, to writer: inout AvroWriter
    ) throws(AvroError) {
        switch (definition.shape, value) {
        case (.enumeration(let symbols, _), .enumeration(let symbol)):
            guard let index = symbols.firstIndex(of: symbol) else {
                throw AvroError(.malformed, "the enum \(definition.name) has no symbol \"\(symbol)\"")
            }
            writer.writeEnumeration(index)
        case (.fixed(let size, _), .fixed(let bytes)): writer.writeFixed(bytes, size: size)
        case (.record(let fields), .record(let values)) where fields.map(\.name) == values.map(\.name):
            for (field, value) in zip(fields, values) {
                do throws(AvroError) {
                    try write(value.value, field.type, to: &writer)
                } catch {
                    throw error.at("field \"\(field.name)\"")
                }
            }
        default:
            throw AvroError(.malformed, "a \(value.kind) is no value of \(definition.kind) \(definition.name)")
        }
    }

    private func write(
        _ value: AvroValue, _ primitive: AvroPrimitive, to writer: inout AvroWriter
    ) throws(AvroError) {
        switch (primitive, value) {
        case (.null, .null): break
        case (.boolean, .boolean(let value)): writer.writeBoolean(value)
        case (.int, .int(let value)): writer.writeInt(value)
        case (.long, .long(let value)): writer.writeLong(value)
        case (.float, .float(let value)): writer.writeFloat(value)
        case (.double, .double(let value)): writer.writeDouble(value)
        case (.bytes, .bytes(let value)): writer.writeBytes(value)
        case (.string, .string(let value)): writer.writeString(value)
        default: throw mismatch(value, .primitive(primitive, logicalType: nil))
        }
    }

    private func mismatch(_ value: AvroValue, _ type: AvroType) -> AvroError {
        AvroError(.malformed, "a \(value.kind) is no value of type \(describe(type))")
    }
}
