/// What one decoding by schema may still make; see ``AvroReader/check(_:_:_:)``.
struct DecodingBudget {
    /// Values that may still be made. Data of a hostile schema can stand for very many values per byte (records full
    /// of nulls), so the bound grows with the data and not with what the data claims.
    var values: Int

    init(byteCount: Int) { values = 1_000_000 + 64 * byteCount }
}

extension AvroReader {
    /// Reads over one value, checking everything that the schema demands: numbers in range, symbols and branches that
    /// exist, lengths inside the data, UTF-8, bounded nesting and bounded size.
    ///
    /// avro-c checks few of these, so that it only ever gets data that passed here.
    mutating func check(
        _ type: AvroType, _ definitions: [AvroDefinition], _ budget: inout DecodingBudget
    ) throws(AvroError) {
        budget.values -= 1
        guard budget.values >= 0 else {
            throw AvroError(.limitExceeded, "the data stands for too many values, at byte \(position)")
        }
        switch type {
        case .primitive(let primitive, _): try check(primitive)
        case .union(let branches):
            let branch = try readBranch(count: branches.count)
            try check(branches[branch], definitions, &budget)
        case .array(let element):
            var left = budget
            try readBlocks { (reader: inout AvroReader) throws(AvroError) in
                try reader.check(element, definitions, &left)
            }
            budget = left
        case .map(let element):
            var left = budget
            var keys: Set<String> = []
            try readBlocks { (reader: inout AvroReader) throws(AvroError) in
                let key = try reader.readMapKey()
                guard keys.insert(key).inserted else { throw reader.repeatedKey(key) }
                try reader.check(element, definitions, &left)
            }
            budget = left
        case .named(let index): try check(definitions[index], definitions, &budget)
        }
    }

    private mutating func check(_ primitive: AvroPrimitive) throws(AvroError) {
        switch primitive {
        case .null: break
        case .boolean: _ = try readBoolean()
        case .int: _ = try readInt()
        case .long: _ = try readLong()
        case .float: _ = try readFloat()
        case .double: _ = try readDouble()
        case .bytes: _ = try readBytes()
        case .string: _ = try readString()
        }
    }

    private mutating func check(
        _ definition: AvroDefinition, _ definitions: [AvroDefinition], _ budget: inout DecodingBudget
    ) throws(AvroError) {
        switch definition.shape {
        case .enumeration(let symbols, _): _ = try readEnumeration(count: symbols.count)
        case .fixed(let size, _): _ = try readFixed(size: size)
        case .record(let fields):
            var left = budget
            try nested { (reader: inout AvroReader) throws(AvroError) in
                for field in fields {
                    do throws(AvroError) {
                        try reader.check(field.type, definitions, &left)
                    } catch {
                        throw error.at("field \"\(field.name)\"")
                    }
                }
            }
            budget = left
        }
    }

    /// avro-c keeps keys as C strings and would cut one at a NUL. It would also put the elements of two arrays under
    /// one key together, which is one reason to refuse keys that occur twice.
    private mutating func readMapKey() throws(AvroError) -> String {
        let start = position
        let key = try readString()
        guard !key.utf8.contains(0) else {
            throw AvroError(.malformed, "a map key contains a NUL character, at byte \(start)")
        }
        return key
    }
}
