/// The Swift text for one schema file.
struct SwiftFile {
    let schema: AvroSchema
    /// The schema file's path, for the header.
    let path: String

    func text(_ types: inout TypeRegistry) throws(AvroError) -> String {
        guard case .named(let rootIndex) = schema.root, case .record = schema.definitions[rootIndex].shape else {
            throw AvroError(
                .invalidSchema, "the generator needs a record at the top, not \(schema.describe(schema.root))")
        }
        try refuseRecursion()
        var bodies: [String] = []
        for (index, definition) in schema.definitions.enumerated() {
            guard let body = try typeText(definition, isRoot: index == rootIndex) else { continue }
            let name = try SwiftNames.typeName(definition)
            // The root carries its schema text, so that two files with the same root never pass as the same type.
            if try types.register(name, definition.name, text: body, path: path) { bodies.append(body) }
        }
        let imports = bodies.contains { $0.contains("Timestamp") } ? ["Avro", "OrchestraCore"] : ["Avro"]
        let head =
            SchemaGenerator.header + "\(path). Do not edit.\n// swift-format-ignore-file\n\n"
            + imports.map { "public import \($0)\n" }.joined()
        return head + bodies.map { "\n" + $0 }.joined()
    }

    private func typeText(_ definition: AvroDefinition, isRoot: Bool) throws(AvroError) -> String? {
        switch definition.shape {
        case .fixed: nil
        case .enumeration(let symbols, _): try SwiftEnumeration(definition: definition, symbols: symbols).text()
        case .record(let fields):
            try SwiftStruct(schema: schema, definition: definition, fields: fields, isRoot: isRoot).text()
        }
    }

    /// A Swift struct cannot hold itself, not even as an optional.
    private func refuseRecursion() throws(AvroError) {
        for start in schema.definitions.indices {
            var reached: Set<Int> = []
            var open = [start]
            while let index = open.popLast() {
                for field in schema.definitions[index].fields {
                    for inner in SwiftFile.directTypes(of: field.type) where reached.insert(inner).inserted {
                        open.append(inner)
                    }
                }
            }
            if reached.contains(start) {
                let name = schema.definitions[start].name
                throw AvroError(
                    .invalidSchema, "\(name) contains itself; a Swift struct can only do so in an array or map")
            }
        }
    }

    private static func directTypes(of type: AvroType) -> [Int] {
        switch type {
        case .named(let index): [index]
        case .union(let branches): branches.flatMap(directTypes)
        case .primitive, .array, .map: []
        }
    }
}

/// Names that Swift accepts.
enum SwiftNames {
    private static let keywords: Set<String> = [
        "Any", "Protocol", "Self", "Type", "as", "associatedtype", "break", "case", "catch", "class", "continue",
        "default", "defer", "deinit", "do", "else", "enum", "extension", "fallthrough", "false", "fileprivate", "for",
        "func", "guard", "if", "import", "in", "init", "inout", "internal", "is", "let", "nil", "operator",
        "precedencegroup", "private", "protocol", "public", "repeat", "rethrows", "return", "self", "static", "struct",
        "subscript", "super", "switch", "throw", "throws", "true", "try", "typealias", "var", "where", "while",
    ]

    /// What generated code itself refers to.
    private static let taken: Set<String> = [
        "Array", "AvroError", "AvroReader", "AvroRecord", "AvroSerializable", "AvroValue", "AvroWriter", "Bool",
        "CaseIterable", "Codable", "Dictionary", "Double", "Float", "Int", "Int32", "Int64", "Optional", "String",
        "Timestamp", "UInt8",
    ]

    static func identifier(_ name: String) -> String { keywords.contains(name) ? "`\(name)`" : name }

    /// A property inside the generated methods, whose parameters it must not be mistaken for.
    static func property(_ name: String) -> String {
        ["reader", "writer", "value"].contains(name) || keywords.contains(name) ? "self.\(identifier(name))" : name
    }

    static func typeName(_ definition: AvroDefinition) throws(AvroError) -> String {
        let name = definition.name.short
        guard !taken.contains(name), !["Any", "Protocol", "Self", "Type"].contains(name) else {
            throw AvroError(.invalidSchema, "\(definition.name) would hide Swift's \(name): give it another name")
        }
        return identifier(name)
    }

    /// Documentation as `///` lines of at most 120 characters.
    static func comment(_ text: String?, indent: String) -> String {
        guard let text, !text.isEmpty else { return "" }
        var lines: [String] = []
        for paragraph in text.split(separator: "\n", omittingEmptySubsequences: false) {
            var line = ""
            for word in paragraph.split(whereSeparator: { $0 == " " || $0 == "\t" || $0 == "\r" || $0 == "\r\n" }) {
                if !line.isEmpty, indent.count + 4 + line.count + 1 + word.count > 120 {
                    lines.append(line)
                    line = ""
                }
                line += line.isEmpty ? String(word) : " " + word
            }
            lines.append(line)
        }
        return lines.map { $0.isEmpty ? indent + "///\n" : indent + "/// " + $0 + "\n" }.joined()
    }
}
