/// Turns JSON into types and definitions, checking names, references and attributes on the way.
///
/// What needs the whole schema (defaults, records that contain themselves) is left to ``SchemaChecker``.
struct SchemaParser {
    private(set) var definitions: [AvroDefinition] = []
    private var indices: [AvroName: Int] = [:]
    private var path: [String] = []
    private var depth = 0

    /// - Parameter json: the whole schema; it may use what was parsed before.
    mutating func parse(_ json: JSONValue) throws(AvroError) -> AvroType {
        try parseType(json, namespace: "")
    }

    private mutating func parseType(_ json: JSONValue, namespace: String) throws(AvroError) -> AvroType {
        guard depth < AvroSchema.maximumDepth else {
            throw error("types nest deeper than \(AvroSchema.maximumDepth) levels")
        }
        depth += 1
        defer { depth -= 1 }
        switch json {
        case .string(let name): return try resolve(name, namespace: namespace)
        case .array(let branches): return try parseUnion(branches, namespace: namespace)
        case .object: return try parseObject(json, namespace: namespace)
        default: throw error("a type is a name, an array (a union) or an object, not \(json.kind)")
        }
    }

    private func resolve(_ name: String, namespace: String) throws(AvroError) -> AvroType {
        if let primitive = AvroPrimitive(rawValue: name) { return .primitive(primitive, logicalType: nil) }
        let fullName = AvroName(name, namespace: namespace)
        guard let index = indices[fullName] else {
            throw error(
                ["record", "enum", "fixed", "array", "map", "union"].contains(name)
                    ? "\"\(name)\" needs an object with its attributes: {\"type\": \"\(name)\", …}"
                    : "\"\(fullName)\" is not defined before it is used here")
        }
        return .named(index)
    }

    private mutating func parseUnion(_ branches: [JSONValue], namespace: String) throws(AvroError) -> AvroType {
        guard !branches.isEmpty else { throw error("a union needs at least one type") }
        var types: [AvroType] = []
        var seen: Set<String> = []
        for (index, branch) in branches.enumerated() {
            let type = try within("\(index)") { (parser: inout SchemaParser) throws(AvroError) in
                let type = try parser.parseType(branch, namespace: namespace)
                if case .union = type { throw parser.error("a union may not directly contain a union") }
                let key = parser.unionKey(type)
                guard seen.insert(key).inserted else { throw parser.error("the union has \"\(key)\" twice") }
                return type
            }
            types.append(type)
        }
        return .union(types)
    }

    /// What may occur only once in a union: a kind of unnamed type, or a full name.
    private func unionKey(_ type: AvroType) -> String {
        switch type {
        case .primitive(let primitive, _): primitive.rawValue
        case .array: "array"
        case .map: "map"
        case .union: "union"
        case .named(let index): definitions[index].name.description
        }
    }

    private mutating func parseObject(_ json: JSONValue, namespace: String) throws(AvroError) -> AvroType {
        guard let typeAttribute = json["type"] else { throw error("the attribute \"type\" is missing") }
        guard case .string(let kind) = typeAttribute else {
            throw error("\"type\" of a type object is a name, not \(typeAttribute.kind): write the inner type directly")
        }
        switch kind {
        case "record", "enum", "fixed": return try parseNamed(json, kind: kind, namespace: namespace)
        case "array": return .array(try parseAttribute("items", of: json, namespace: namespace))
        case "map": return .map(try parseAttribute("values", of: json, namespace: namespace))
        default:
            let type = try resolve(kind, namespace: namespace)
            guard case .primitive(let primitive, _) = type else { return type }
            return .primitive(primitive, logicalType: logicalType(of: json))
        }
    }

    private mutating func parseAttribute(
        _ name: String, of json: JSONValue, namespace: String
    ) throws(AvroError) -> AvroType {
        guard let inner = json[name] else { throw error("the attribute \"\(name)\" is missing") }
        return try within(name) { (parser: inout SchemaParser) throws(AvroError) in
            try parser.parseType(inner, namespace: namespace)
        }
    }

    private func logicalType(of json: JSONValue) -> String? {
        guard case .string(let name) = json["logicalType"] else { return nil }
        guard name == "decimal" else { return name }
        return "decimal(\(json["precision"]?.text() ?? ""),\(json["scale"]?.text() ?? "0"))"
    }

    // MARK: Named types

    private mutating func parseNamed(
        _ json: JSONValue, kind: String, namespace: String
    ) throws(AvroError) -> AvroType {
        let name = try parseName(of: json, kind: kind, enclosing: namespace)
        guard indices[name] == nil else { throw error("\"\(name)\" is defined twice") }
        let index = definitions.count
        indices[name] = index
        // The definition stands here before its fields are parsed, so that they may refer to it.
        definitions.append(
            AvroDefinition(
                name: name,
                aliases: try strings("aliases", of: json).map { AvroName($0, namespace: name.namespace) },
                documentation: try string("doc", of: json), shape: .record([])))
        if let alias = definitions[index].aliases.first(where: { !$0.isValid }) {
            throw error("\"\(alias)\" is not a name for an alias")
        }
        switch kind {
        case "record": definitions[index].shape = .record(try parseFields(of: json, record: name))
        case "enum": definitions[index].shape = try parseEnumeration(json)
        default:
            definitions[index].shape = .fixed(size: try parseSize(of: json), logicalType: logicalType(of: json))
        }
        return .named(index)
    }

    private func parseName(of json: JSONValue, kind: String, enclosing: String) throws(AvroError) -> AvroName {
        guard let text = try string("name", of: json) else {
            throw error("the \(kind) has no \"name\"")
        }
        let name = AvroName(text, namespace: try string("namespace", of: json) ?? enclosing)
        guard name.isValid else {
            throw error(
                "\"\(name)\" is not a name: each part between dots is a letter or _, then letters, digits and _")
        }
        guard AvroPrimitive(rawValue: name.short) == nil else {
            throw error("\"\(name)\": a primitive type's name cannot be given to another type")
        }
        return name
    }

    private mutating func parseFields(of json: JSONValue, record: AvroName) throws(AvroError) -> [AvroField] {
        guard case .array(let elements) = json["fields"] else {
            throw error("the record \(record) needs \"fields\", an array")
        }
        var fields: [AvroField] = []
        var names: Set<String> = []
        for (index, element) in elements.enumerated() {
            let field = try within("fields") { (parser: inout SchemaParser) throws(AvroError) in
                try parser.within("\(index)") { (parser: inout SchemaParser) throws(AvroError) in
                    let field = try parser.parseField(element, namespace: record.namespace)
                    guard names.insert(field.name).inserted else {
                        throw parser.error("the record \(record) has the field \"\(field.name)\" twice")
                    }
                    return field
                }
            }
            fields.append(field)
        }
        return fields
    }

    private mutating func parseField(_ json: JSONValue, namespace: String) throws(AvroError) -> AvroField {
        guard case .object = json else { throw error("a field is an object, not \(json.kind)") }
        guard let name = try string("name", of: json) else { throw error("the field has no \"name\"") }
        guard AvroName.isValidPart(name) else {
            throw error("\"\(name)\" is not a field name: a letter or _, then letters, digits and _")
        }
        let aliases = try strings("aliases", of: json)
        if let alias = aliases.first(where: { !AvroName.isValidPart($0) }) {
            throw error("\"\(alias)\" is not a name for an alias of the field \"\(name)\"")
        }
        if let order = try string("order", of: json), !["ascending", "descending", "ignore"].contains(order) {
            throw error("\"order\" of the field \"\(name)\" is ascending, descending or ignore, not \"\(order)\"")
        }
        return AvroField(
            name: name, aliases: aliases, documentation: try string("doc", of: json),
            type: try parseAttribute("type", of: json, namespace: namespace), defaultJSON: json["default"])
    }

    private func parseEnumeration(_ json: JSONValue) throws(AvroError) -> AvroDefinition.Shape {
        guard json["symbols"] != nil else { throw error("the enum needs \"symbols\", an array of names") }
        let symbols = try strings("symbols", of: json)
        var seen: Set<String> = []
        for symbol in symbols {
            guard AvroName.isValidPart(symbol) else {
                throw error("\"\(symbol)\" is not a symbol: a letter or _, then letters, digits and _")
            }
            guard seen.insert(symbol).inserted else { throw error("the enum has the symbol \"\(symbol)\" twice") }
        }
        let defaultSymbol = try string("default", of: json)
        if let defaultSymbol, !seen.contains(defaultSymbol) {
            throw error("the default \"\(defaultSymbol)\" is not one of the enum's symbols")
        }
        return .enumeration(symbols: symbols, defaultSymbol: defaultSymbol)
    }

    private func parseSize(of json: JSONValue) throws(AvroError) -> Int {
        guard case .number(let text) = json["size"], let size = Int32(text), size >= 0 else {
            throw error("the fixed type needs \"size\", a whole number of bytes from 0 to \(Int32.max)")
        }
        return Int(size)
    }

    // MARK: Attributes and places

    private func string(_ name: String, of json: JSONValue) throws(AvroError) -> String? {
        guard let value = json[name] else { return nil }
        guard case .string(let text) = value else {
            // Tools write null for absent documentation.
            if case .null = value, name == "doc" { return nil }
            throw error("\"\(name)\" is a string, not \(value.kind)")
        }
        return text
    }

    private func strings(_ name: String, of json: JSONValue) throws(AvroError) -> [String] {
        guard let value = json[name] else { return [] }
        guard case .array(let elements) = value else {
            throw error("\"\(name)\" is an array of strings, not \(value.kind)")
        }
        var texts: [String] = []
        for element in elements {
            guard case .string(let text) = element else {
                throw error("\"\(name)\" is an array of strings; it contains \(element.kind)")
            }
            texts.append(text)
        }
        return texts
    }

    private mutating func within<Result>(
        _ step: String, _ body: (inout SchemaParser) throws(AvroError) -> Result
    ) throws(AvroError) -> Result {
        path.append(step)
        defer { path.removeLast() }
        return try body(&self)
    }

    private func error(_ problem: String) -> AvroError {
        AvroError(.invalidSchema, "at /\(path.joined(separator: "/")): \(problem)")
    }
}
