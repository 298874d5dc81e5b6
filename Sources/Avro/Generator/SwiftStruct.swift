/// The Swift struct of an Avro record.
struct SwiftStruct {
    let schema: AvroSchema
    let definition: AvroDefinition
    let fields: [AvroField]
    /// Only the record at the top of a file is registered, so only it carries its schema.
    let isRoot: Bool

    func text() throws(AvroError) -> String {
        let name = try SwiftNames.typeName(definition)
        var text = SwiftNames.comment(definition.documentation, indent: "")
        text += "public struct \(name): \(isRoot ? "AvroRecord" : "AvroSerializable") {\n"
        if isRoot { text += schemaText() + (fields.isEmpty ? "" : "\n") }
        text += try members(\.declaration)
        text += "\n" + (try memberwiseInitializer())
        text += """

                public init(from reader: inout AvroReader) throws(AvroError) {
            \(try members(\.reading))    }

                public func write(to writer: inout AvroWriter) {
            \(try members(\.writing))    }

                public init(resolving value: AvroValue) throws(AvroError) {
            \(try members(\.resolving))    }
            }

            """
        return text
    }

    private func schemaText() -> String {
        var fence = "#"
        while schema.text.contains("\"\"\"" + fence) || schema.text.contains("\\" + fence) { fence += "#" }
        let lines = schema.text.split(omittingEmptySubsequences: false) { $0.isNewline }
        var kept = lines.map(String.init)
        while kept.last?.allSatisfy(\.isWhitespace) == true { kept.removeLast() }
        let body = kept.map { $0.isEmpty ? "\n" : "        " + $0 + "\n" }.joined()
        return """
                public static let avroName = "\(definition.name)"
                public static let avroSchema = \(fence)\"""
            \(body)        \"""\(fence)

            """
    }

    private func memberwiseInitializer() throws(AvroError) -> String {
        if fields.isEmpty { return "    public init() {}\n" }
        var parameters: [String] = []
        for field in fields { parameters.append("        " + (try member(field).parameter)) }
        let assignments = fields.map {
            let name = SwiftNames.identifier($0.name)
            return "        self.\(name) = \(name)\n"
        }
        return "    public init(\n" + parameters.joined(separator: ",\n") + "\n    ) {\n" + assignments.joined()
            + "    }\n"
    }

    private func members(_ part: (SwiftMember) -> String) throws(AvroError) -> String {
        var text = ""
        for field in fields { text += part(try member(field)) }
        return text
    }

    private func member(_ field: AvroField) throws(AvroError) -> SwiftMember {
        do throws(AvroError) {
            return try SwiftMember(field: field, schema: schema)
        } catch {
            throw error.at("field \"\(field.name)\" of \(definition.name)")
        }
    }
}

/// The lines of generated code that concern one field.
struct SwiftMember {
    let declaration: String
    let parameter: String
    let reading: String
    let writing: String
    let resolving: String

    init(field: AvroField, schema: AvroSchema) throws(AvroError) {
        let expressions = SwiftExpressions(schema: schema)
        let name = SwiftNames.identifier(field.name)
        let property = SwiftNames.property(field.name)
        let type = try expressions.typeName(field.type)
        declaration = SwiftNames.comment(field.documentation, indent: "    ") + "    public var \(name): \(type)\n"
        if let value = field.defaultValue {
            parameter = "\(name): \(type) = \(try expressions.literal(value, field.type))"
        } else {
            parameter = "\(name): \(type)"
        }
        reading = "        \(property) = try \(try expressions.read(field.type))\n"
        writing = "        \(try expressions.write(property, field.type))\n"
        let resolve = try expressions.resolve("value", field.type)
        resolving =
            "        \(property) = try value.field(\"\(field.name)\") { value throws(AvroError) in \(resolve) }\n"
    }
}
