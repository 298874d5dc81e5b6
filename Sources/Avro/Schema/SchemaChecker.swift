/// The checks that need the whole schema: no record contains itself without end, and every default fits its type.
enum SchemaChecker {
    /// How many values one record may hold directly, nested records included. A chain of records that each hold the
    /// next one twice doubles with every link: small text, endless memory.
    static let maximumInlineValues = 100_000
    /// How many values all defaults of a schema may hold together.
    static let maximumDefaultValues = 100_000

    /// - Returns: the definitions with their fields' `defaultValue` set.
    static func check(_ definitions: [AvroDefinition]) throws(AvroError) -> [AvroDefinition] {
        var sizes = InlineSizes(definitions)
        for index in definitions.indices { try sizes.size(of: index) }
        var checked = definitions
        var defaults = DefaultBuilder(definitions: definitions, budget: maximumDefaultValues)
        for index in checked.indices {
            guard case .record(var fields) = checked[index].shape else { continue }
            for position in fields.indices {
                guard let json = fields[position].defaultJSON else { continue }
                do throws(AvroError) {
                    fields[position].defaultValue = try defaults.value(json, fields[position].type)
                } catch {
                    throw error.at("the default of field \"\(fields[position].name)\" of \(checked[index].name)")
                }
            }
            checked[index].shape = .record(fields)
        }
        return checked
    }

    /// Bounds how deep types nest when each definition stands where it is used first, as in the canonical form.
    static func checkDepth(of type: AvroType, _ definitions: [AvroDefinition]) throws(AvroError) {
        var seen: Set<Int> = []
        try checkDepth(of: type, definitions, depth: 0, &seen)
    }

    private static func checkDepth(
        of type: AvroType, _ definitions: [AvroDefinition], depth: Int, _ seen: inout Set<Int>
    ) throws(AvroError) {
        guard depth < AvroSchema.maximumDepth else {
            throw AvroError(
                .invalidSchema,
                "with the schemas that it refers to, its types nest deeper than \(AvroSchema.maximumDepth) levels")
        }
        switch type {
        case .primitive: break
        case .array(let element), .map(let element):
            try checkDepth(of: element, definitions, depth: depth + 1, &seen)
        case .union(let branches):
            for branch in branches { try checkDepth(of: branch, definitions, depth: depth + 1, &seen) }
        case .named(let index):
            guard seen.insert(index).inserted else { return }
            for field in definitions[index].fields {
                try checkDepth(of: field.type, definitions, depth: depth + 1, &seen)
            }
        }
    }
}

/// How much each definition holds directly: what a value of it takes before anything in a union, array or map.
private struct InlineSizes {
    fileprivate struct Size {
        var values: Int
        var depth: Int
    }

    private let definitions: [AvroDefinition]
    private var known: [Size?]
    private var open: Set<Int> = []

    init(_ definitions: [AvroDefinition]) {
        self.definitions = definitions
        known = Array(repeating: nil, count: definitions.count)
    }

    @discardableResult
    fileprivate mutating func size(of index: Int) throws(AvroError) -> Size {
        if let size = known[index] { return size }
        let definition = definitions[index]
        guard open.insert(index).inserted else {
            throw AvroError(
                .invalidSchema,
                "the record \(definition.name) contains itself outside of a union, array or map, so no value could end")
        }
        defer { open.remove(index) }
        var size = Size(values: 1, depth: 1)
        for field in definition.fields {
            if case .named(let inner) = field.type {
                let innerSize = try self.size(of: inner)
                size.values += innerSize.values
                size.depth = max(size.depth, innerSize.depth + 1)
            } else {
                size.values += 1
            }
            guard size.values <= SchemaChecker.maximumInlineValues else {
                throw AvroError(
                    .invalidSchema,
                    "the record \(definition.name) holds more than \(SchemaChecker.maximumInlineValues) values directly"
                )
            }
            guard size.depth <= AvroSchema.maximumDepth else {
                throw AvroError(
                    .invalidSchema,
                    "the record \(definition.name) holds records nested deeper than \(AvroSchema.maximumDepth) levels")
            }
        }
        known[index] = size
        return size
    }
}

/// Turns a default's JSON into a value of the field's type.
struct DefaultBuilder {
    let definitions: [AvroDefinition]
    /// How many more values may be made.
    var budget: Int
    private var depth = 0

    init(definitions: [AvroDefinition], budget: Int) {
        self.definitions = definitions
        self.budget = budget
    }

    /// - Throws: ``AvroError`` with `invalidSchema` when the JSON does not fit the type.
    mutating func value(_ json: JSONValue, _ type: AvroType) throws(AvroError) -> AvroValue {
        guard budget > 0, depth < AvroReader.maximumDepth else {
            throw AvroError(.invalidSchema, "the default is too large or never ends")
        }
        budget -= 1
        depth += 1
        defer { depth -= 1 }
        switch type {
        case .primitive(let primitive, _): return try DefaultBuilder.primitive(json, primitive)
        case .array(let element):
            guard case .array(let elements) = json else { throw mismatch(json, "array") }
            var values: [AvroValue] = []
            for json in elements { values.append(try value(json, element)) }
            return .array(values)
        case .map(let element):
            guard case .object(let members) = json else { throw mismatch(json, "map") }
            var values: [String: AvroValue] = [:]
            for member in members { values[member.name] = try value(member.value, element) }
            return .map(values)
        case .union(let branches):
            do throws(AvroError) {
                return .union(branch: 0, try value(json, branches[0]))
            } catch {
                throw AvroError(.invalidSchema, "a union's default has the type of its first branch: \(error.message)")
            }
        case .named(let index): return try named(json, definitions[index])
        }
    }

    private mutating func named(_ json: JSONValue, _ definition: AvroDefinition) throws(AvroError) -> AvroValue {
        switch definition.shape {
        case .enumeration(let symbols, _):
            guard case .string(let symbol) = json, symbols.contains(symbol) else {
                throw mismatch(json, "enum \(definition.name) (\(symbols.joined(separator: ", ")))")
            }
            return .enumeration(symbol)
        case .fixed(let size, _):
            guard case .string(let text) = json, let bytes = DefaultBuilder.bytes(text), bytes.count == size else {
                throw mismatch(json, "fixed \(definition.name) of \(size) bytes")
            }
            return .fixed(bytes)
        case .record(let fields):
            guard case .object = json else { throw mismatch(json, "record \(definition.name)") }
            var values: [AvroValue.Field] = []
            for field in fields {
                guard let fieldJSON = json[field.name] ?? field.defaultJSON else {
                    throw AvroError(
                        .invalidSchema,
                        "the field \"\(field.name)\" of \(definition.name) is missing and has no default")
                }
                values.append(AvroValue.Field(name: field.name, value: try value(fieldJSON, field.type)))
            }
            return .record(values)
        }
    }

    private static func primitive(_ json: JSONValue, _ primitive: AvroPrimitive) throws(AvroError) -> AvroValue {
        switch (primitive, json) {
        case (.null, .null): return .null
        case (.boolean, .boolean(let value)): return .boolean(value)
        case (.int, .number(let text)): if let value = Int32(text) { return .int(value) }
        case (.long, .number(let text)): if let value = Int64(text) { return .long(value) }
        case (.float, .number(let text)): if let value = Float(text) { return .float(value) }
        case (.double, .number(let text)): if let value = Double(text) { return .double(value) }
        case (.bytes, .string(let text)): if let value = bytes(text) { return .bytes(value) }
        case (.string, .string(let value)): return .string(value)
        default: break
        }
        throw mismatch(json, primitive.rawValue)
    }

    /// Defaults of bytes are written as strings whose code points 0 to 255 stand for the bytes.
    private static func bytes(_ text: String) -> [UInt8]? {
        var bytes: [UInt8] = []
        for scalar in text.unicodeScalars {
            guard let byte = UInt8(exactly: scalar.value) else { return nil }
            bytes.append(byte)
        }
        return bytes
    }

    private func mismatch(_ json: JSONValue, _ expected: String) -> AvroError {
        DefaultBuilder.mismatch(json, expected)
    }

    private static func mismatch(_ json: JSONValue, _ expected: String) -> AvroError {
        let text = json.text()
        let shown = text.utf8.count <= 80 ? text : String(text.prefix(80)) + "…"
        return AvroError(.invalidSchema, "\(shown) is no value of type \(expected)")
    }
}
