import CAvro

/// Decodes data of any schema with avro-c into ``AvroValue``.
///
/// avro-c trusts its input, so that ``AvroReader/check(_:_:_:)`` goes over the data first; and it refuses some valid
/// schemas, so that it gets the canonical form with what it lacks filled in.
package final class GenericDecoder: @unchecked Sendable {
    // Unchecked because of the two handles: avro-c does not change a schema or a generic class once it is made, its
    // reference counts are atomic, and each decoding has a value and a reader of its own.
    private let schema: AvroSchema
    private let handle: avro_schema_t
    private let valueClass: UnsafeMutablePointer<avro_value_iface_t>

    /// - Parameter schema: the writer's schema.
    /// - Throws: ``AvroError`` with `invalidSchema` when avro-c does not accept it.
    package init(_ schema: AvroSchema) throws(AvroError) {
        self.schema = schema
        let text = CanonicalForm.text(of: schema.root, schema.definitions, fillingEmptyTypes: true)
        var handle: avro_schema_t?
        guard avro_schema_from_json_length(text, text.utf8.count, &handle) == 0, let handle else {
            throw AvroError(.invalidSchema, "avro-c does not accept the schema \(schema.canonicalForm.prefix(200))")
        }
        guard let valueClass = avro_generic_class_from_schema(handle) else {
            avro_schema_decref(handle)
            throw AvroError(.invalidSchema, "avro-c has no values for the schema \(schema.canonicalForm.prefix(200))")
        }
        self.handle = handle
        self.valueClass = valueClass
    }

    deinit {
        cavro_iface_decref(valueClass)
        avro_schema_decref(handle)
    }

    /// - Parameters:
    ///   - bytes: the data.
    ///   - start: where the value begins; it must end where `bytes` ends.
    /// - Throws: ``AvroError`` for bytes that the schema does not allow.
    package func decode(_ bytes: [UInt8], from start: Int = 0) throws(AvroError) -> AvroValue {
        var checker = AvroReader(bytes, from: start)
        var budget = DecodingBudget(byteCount: bytes.count)
        try checker.check(schema.root, schema.definitions, &budget)
        try checker.finish()
        var value = avro_value_t()
        guard avro_generic_value_new(valueClass, &value) == 0 else { throw failure("make a value") }
        defer { avro_value_decref(&value) }
        let status = bytes.withUnsafeBytes { buffer -> Int32 in
            let data = buffer.baseAddress?.assumingMemoryBound(to: CChar.self).advanced(by: start)
            guard let reader = avro_reader_memory(data, Int64(bytes.count - start)) else { return ENOMEM }
            defer { avro_reader_free(reader) }
            return avro_value_read(reader, &value)
        }
        guard status == 0 else { throw failure("read the data (error \(status))") }
        return try convert(value, schema.root)
    }

    private func convert(_ value: avro_value_t, _ type: AvroType) throws(AvroError) -> AvroValue {
        var value = value
        switch type {
        case .primitive(let primitive, _): return try convert(&value, primitive)
        case .array(let element):
            var elements: [AvroValue] = []
            try forEachChild(of: &value) { (child, _) throws(AvroError) in
                elements.append(try convert(child, element))
            }
            return .array(elements)
        case .map(let element):
            var entries: [String: AvroValue] = [:]
            try forEachChild(of: &value) { (child, name) throws(AvroError) in
                guard let name else { throw failure("name a map entry") }
                entries[String(cString: name)] = try convert(child, element)
            }
            return .map(entries)
        case .union(let branches):
            var branch: Int32 = -1
            var inner = avro_value_t()
            guard cavro_get_discriminant(&value, &branch) == 0, branches.indices.contains(Int(branch)),
                cavro_get_current_branch(&value, &inner) == 0
            else { throw failure("read a union") }
            return .union(branch: Int(branch), try convert(inner, branches[Int(branch)]))
        case .named(let index): return try convert(&value, schema.definitions[index])
        }
    }

    private func convert(_ value: inout avro_value_t, _ definition: AvroDefinition) throws(AvroError) -> AvroValue {
        switch definition.shape {
        case .enumeration(let symbols, _):
            var index: Int32 = -1
            guard cavro_get_enum(&value, &index) == 0, symbols.indices.contains(Int(index)) else {
                throw failure("read an enum")
            }
            return .enumeration(symbols[Int(index)])
        // Stands as an empty record in avro-c's schema.
        case .fixed(size: 0, _): return .fixed([])
        case .fixed: return .fixed(try buffer(&value, cavro_get_fixed))
        case .record(let fields):
            var converted: [AvroValue.Field] = []
            converted.reserveCapacity(fields.count)
            for (index, field) in fields.enumerated() {
                var child = avro_value_t()
                guard cavro_get_by_index(&value, index, &child, nil) == 0 else { throw failure("read a field") }
                converted.append(AvroValue.Field(name: field.name, value: try convert(child, field.type)))
            }
            return .record(converted)
        }
    }

    private func convert(_ value: inout avro_value_t, _ primitive: AvroPrimitive) throws(AvroError) -> AvroValue {
        switch primitive {
        case .null: return .null
        case .boolean:
            var out: Int32 = 0
            guard cavro_get_boolean(&value, &out) == 0 else { throw failure("read a boolean") }
            return .boolean(out != 0)
        case .int:
            var out: Int32 = 0
            guard cavro_get_int(&value, &out) == 0 else { throw failure("read an int") }
            return .int(out)
        case .long:
            var out: Int64 = 0
            guard cavro_get_long(&value, &out) == 0 else { throw failure("read a long") }
            return .long(out)
        case .float:
            var out: Float = 0
            guard cavro_get_float(&value, &out) == 0 else { throw failure("read a float") }
            return .float(out)
        case .double:
            var out: Double = 0
            guard cavro_get_double(&value, &out) == 0 else { throw failure("read a double") }
            return .double(out)
        case .bytes: return .bytes(try buffer(&value, cavro_get_bytes))
        case .string:
            var start: UnsafePointer<CChar>?
            var size = 0
            guard cavro_get_string(&value, &start, &size) == 0, let start, size > 0 else {
                throw failure("read a string")
            }
            return .string(String(decoding: UnsafeRawBufferPointer(start: start, count: size - 1), as: UTF8.self))
        }
    }

    private func buffer(
        _ value: inout avro_value_t,
        _ get: (UnsafePointer<avro_value_t>?, UnsafeMutablePointer<UnsafeRawPointer?>?, UnsafeMutablePointer<Int>?) ->
            Int32
    ) throws(AvroError) -> [UInt8] {
        var start: UnsafeRawPointer?
        var size = 0
        guard get(&value, &start, &size) == 0 else { throw failure("read bytes") }
        return Array(UnsafeRawBufferPointer(start: start, count: size))
    }

    private func forEachChild(
        of value: inout avro_value_t, _ body: (avro_value_t, UnsafePointer<CChar>?) throws(AvroError) -> Void
    ) throws(AvroError) {
        var size = 0
        guard cavro_get_size(&value, &size) == 0 else { throw failure("read a size") }
        for index in 0..<size {
            var child = avro_value_t()
            var name: UnsafePointer<CChar>?
            guard cavro_get_by_index(&value, index, &child, &name) == 0 else { throw failure("read an element") }
            try body(child, name)
        }
    }

    /// Data that passed the check and a schema that avro-c took should never get here.
    private func failure(_ action: String) -> AvroError {
        AvroError(.malformed, "avro-c could not \(action)")
    }
}
