/// Turns values that were decoded with a writer's schema into values of a reader's schema (specification,
/// "Schema Resolution"): fields by name and alias, defaults, promotions, union branches, enum defaults.
///
/// avro-c's own resolver knows neither defaults nor aliases, which is why this is done here.
package struct SchemaResolver: Sendable {
    package let reader: AvroSchema
    package let writer: AvroSchema

    package init(reader: AvroSchema, writer: AvroSchema) {
        self.reader = reader
        self.writer = writer
    }

    /// - Parameter value: a value of the writer's schema.
    /// - Returns: the value in the shape of the reader's schema.
    /// - Throws: ``AvroError`` with `incompatibleSchema` when this value cannot be read with the reader's schema,
    ///   `wrongRecord` when it is another record altogether.
    package func resolve(_ value: AvroValue) throws(AvroError) -> AvroValue {
        if let wanted = reader.rootDefinition, let found = writer.rootDefinition, !wanted.accepts(nameOf: found) {
            throw AvroError(.wrongRecord, "\(wanted.name) is wanted, the data is a \(found.name)")
        }
        return try resolve(value, from: writer.root, to: reader.root)
    }

    private func resolve(_ value: AvroValue, from: AvroType, to: AvroType) throws(AvroError) -> AvroValue {
        if case .union(let branches) = from {
            guard case .union(let branch, let inner) = value, branches.indices.contains(branch) else {
                throw AvroError(.malformed, "a \(value.kind) where the writer's schema has a union")
            }
            return try resolve(inner, from: branches[branch], to: to)
        }
        if case .union(let branches) = to {
            guard let branch = chooseBranch(of: branches, for: from) else { throw mismatch(from, to) }
            return .union(branch: branch, try resolve(value, from: from, to: branches[branch]))
        }
        switch (value, from, to) {
        case (_, .primitive(let source, _), .primitive(let target, _)):
            guard source != target else { return value }
            guard let promoted = try promote(value, to: target) else { throw mismatch(from, to) }
            return promoted
        case (.array(let values), .array(let source), .array(let target)):
            var resolved: [AvroValue] = []
            resolved.reserveCapacity(values.count)
            for value in values { resolved.append(try resolve(value, from: source, to: target)) }
            return .array(resolved)
        case (.map(let values), .map(let source), .map(let target)):
            var resolved: [String: AvroValue] = [:]
            for (key, value) in values { resolved[key] = try resolve(value, from: source, to: target) }
            return .map(resolved)
        case (_, .named(let source), .named(let target)):
            let definitions = (from: writer.definitions[source], to: reader.definitions[target])
            guard definitions.to.accepts(nameOf: definitions.from) else { throw mismatch(from, to) }
            return try resolveNamed(value, from: definitions.from, to: definitions.to)
        default: throw mismatch(from, to)
        }
    }

    private func resolveNamed(
        _ value: AvroValue, from: AvroDefinition, to: AvroDefinition
    ) throws(AvroError) -> AvroValue {
        switch (value, from.shape, to.shape) {
        case (.fixed, .fixed(let source, _), .fixed(let target, _)) where source == target: return value
        case (.enumeration(let symbol), .enumeration, .enumeration(let symbols, let defaultSymbol)):
            if symbols.contains(symbol) { return value }
            guard let defaultSymbol else {
                throw AvroError(
                    .incompatibleSchema, "the enum \(to.name) has neither the symbol \(symbol) nor a default")
            }
            return .enumeration(defaultSymbol)
        case (.record(let values), .record(let source), .record(let target)):
            return .record(try resolveFields(values, from: source, to: target))
        default:
            throw AvroError(.incompatibleSchema, "\(from.kind) \(from.name) cannot be read as \(to.kind) \(to.name)")
        }
    }

    private func resolveFields(
        _ values: [AvroValue.Field], from source: [AvroField], to target: [AvroField]
    ) throws(AvroError) -> [AvroValue.Field] {
        var resolved: [AvroValue.Field] = []
        resolved.reserveCapacity(target.count)
        for field in target {
            let names = CollectionOfOne(field.name) + field.aliases
            let index = names.lazy.compactMap { name in source.firstIndex { $0.name == name } }.first
            if let index, values.indices.contains(index) {
                do throws(AvroError) {
                    let value = try resolve(values[index].value, from: source[index].type, to: field.type)
                    resolved.append(AvroValue.Field(name: field.name, value: value))
                } catch {
                    throw error.at("field \"\(field.name)\"")
                }
            } else if let value = field.defaultValue {
                resolved.append(AvroValue.Field(name: field.name, value: value))
            } else {
                throw AvroError(
                    .incompatibleSchema, "the writer has no field \"\(field.name)\", and it has no default")
            }
        }
        return resolved
    }

    /// The branch of the same type, else the first that it can be promoted to.
    private func chooseBranch(of branches: [AvroType], for type: AvroType) -> Int? {
        func same(_ branch: AvroType, exactName: Bool) -> Bool {
            switch (type, branch) {
            case (.primitive(let source, _), .primitive(let target, _)): return source == target
            case (.array, .array), (.map, .map): return true
            case (.named(let source), .named(let target)):
                let (from, to) = (writer.definitions[source], reader.definitions[target])
                guard from.kind == to.kind else { return false }
                return exactName ? from.name == to.name : to.accepts(nameOf: from)
            default: return false
            }
        }
        if let branch = branches.firstIndex(where: { same($0, exactName: true) }) { return branch }
        if let branch = branches.firstIndex(where: { same($0, exactName: false) }) { return branch }
        return branches.firstIndex { branch in
            guard case (.primitive(let source, _), .primitive(let target, _)) = (type, branch) else { return false }
            return target.accepts(promotionOf: source)
        }
    }

    private func promote(_ value: AvroValue, to target: AvroPrimitive) throws(AvroError) -> AvroValue? {
        switch (value, target) {
        case (.int(let number), .long): return .long(Int64(number))
        case (.int(let number), .float): return .float(Float(number))
        case (.int(let number), .double): return .double(Double(number))
        case (.long(let number), .float): return .float(Float(number))
        case (.long(let number), .double): return .double(Double(number))
        case (.float(let number), .double): return .double(Double(number))
        case (.string(let text), .bytes): return .bytes(Array(text.utf8))
        case (.bytes(let bytes), .string):
            guard let text = String(validating: bytes, as: UTF8.self) else {
                throw AvroError(.invalidUTF8, "bytes that are read as a string are not UTF-8")
            }
            return .string(text)
        default: return nil
        }
    }

    private func mismatch(_ from: AvroType, _ to: AvroType) -> AvroError {
        AvroError(.incompatibleSchema, "\(writer.describe(from)) cannot be read as \(reader.describe(to))")
    }
}
