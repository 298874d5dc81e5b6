/// Swift expressions that read, write and take apart values of a type.
struct SwiftExpressions {
    let schema: AvroSchema

    /// The type of a property.
    func typeName(_ type: AvroType) throws(AvroError) -> String {
        switch type {
        case .primitive(.null, _):
            throw AvroError(.invalidSchema, "null alone is not supported by the generator: use a union with null")
        case .primitive(.long, logicalType: "timestamp-millis"): return "Timestamp"
        case .primitive(let primitive, _): return SwiftExpressions.swiftName(primitive)
        case .array(let element): return "[\(try typeName(element))]"
        case .map(let element): return "[String: \(try typeName(element))]"
        case .union(let branches): return try typeName(try optional(branches).wrapped) + "?"
        case .named(let index):
            if case .fixed = schema.definitions[index].shape { return "[UInt8]" }
            return try SwiftNames.typeName(schema.definitions[index])
        }
    }

    /// An expression that reads a value from `reader`.
    func read(_ type: AvroType) throws(AvroError) -> String {
        let closure = "{ (reader: inout AvroReader) throws(AvroError) in try"
        switch type {
        case .primitive(.long, logicalType: "timestamp-millis"): return "reader.readTimestamp()"
        case .primitive(let primitive, _): return "reader.read\(SwiftExpressions.suffix(primitive))()"
        case .array(let element): return "reader.readArray \(closure) \(try read(element)) }"
        case .map(let element): return "reader.readMap \(closure) \(try read(element)) }"
        case .union(let branches):
            let (wrapped, nullBranch) = try optional(branches)
            return "reader.readOptional(nullBranch: \(nullBranch)) \(closure) \(try read(wrapped)) }"
        case .named(let index):
            switch schema.definitions[index].shape {
            case .fixed(let size, _): return "reader.readFixed(size: \(size))"
            case .enumeration: return "\(try typeName(type))(from: &reader)"
            case .record: return "reader.readRecord(\(try typeName(type)).self)"
            }
        }
    }

    /// A statement that writes `value` to `writer`.
    func write(_ value: String, _ type: AvroType) throws(AvroError) -> String {
        switch type {
        case .primitive(.long, logicalType: "timestamp-millis"): return "writer.writeTimestamp(\(value))"
        case .primitive(let primitive, _): return "writer.write\(SwiftExpressions.suffix(primitive))(\(value))"
        case .array(let element):
            return "writer.writeArray(\(value)) { writer, value in \(try write("value", element)) }"
        case .map(let element): return "writer.writeMap(\(value)) { writer, value in \(try write("value", element)) }"
        case .union(let branches):
            let (wrapped, nullBranch) = try optional(branches)
            let some = try write("value", wrapped)
            return "writer.writeOptional(\(value), nullBranch: \(nullBranch)) { writer, value in \(some) }"
        case .named(let index):
            if case .fixed(let size, _) = schema.definitions[index].shape {
                return "writer.writeFixed(\(value), size: \(size))"
            }
            return "\(value).write(to: &writer)"
        }
    }

    /// An expression that turns `value`, an `AvroValue`, into a value of the Swift type.
    func resolve(_ value: String, _ type: AvroType) throws(AvroError) -> String {
        switch type {
        case .primitive(.long, logicalType: "timestamp-millis"): return "try \(value).timestampValue()"
        case .primitive(let primitive, _):
            let suffix = SwiftExpressions.suffix(primitive)
            return "try \(value).\(suffix.prefix(1).lowercased())\(suffix.dropFirst())Value()"
        case .array(let element):
            return "try \(value).arrayValue { value throws(AvroError) in \(try resolve("value", element)) }"
        case .map(let element):
            return "try \(value).mapValue { value throws(AvroError) in \(try resolve("value", element)) }"
        case .union(let branches):
            let wrapped = try optional(branches).wrapped
            return "try \(value).optionalValue { value throws(AvroError) in \(try resolve("value", wrapped)) }"
        case .named(let index):
            if case .fixed(let size, _) = schema.definitions[index].shape {
                return "try \(value).fixedValue(size: \(size))"
            }
            return "try \(try typeName(type))(resolving: \(value))"
        }
    }

    /// A default value as Swift writes it.
    func literal(_ value: AvroValue, _ type: AvroType) throws(AvroError) -> String {
        switch (value, type) {
        case (.null, _): return "nil"
        case (.boolean(let value), _): return "\(value)"
        case (.int(let value), _): return "\(value)"
        case (.long(let value), .primitive(_, logicalType: "timestamp-millis")):
            return "Timestamp(millisecondsSinceEpoch: \(value))"
        case (.long(let value), _): return "\(value)"
        case (.float(let value), _): return value.isFinite ? "\(value)" : (value < 0 ? "-.infinity" : ".infinity")
        case (.double(let value), _): return value.isFinite ? "\(value)" : (value < 0 ? "-.infinity" : ".infinity")
        case (.bytes(let bytes), _), (.fixed(let bytes), _):
            return "[" + bytes.map { "\($0)" }.joined(separator: ", ") + "]"
        case (.string(let text), _): return SwiftExpressions.stringLiteral(text)
        case (.enumeration(let symbol), _): return "." + SwiftNames.identifier(symbol)
        case (.array(let values), .array(let element)):
            var literals: [String] = []
            for value in values { literals.append(try literal(value, element)) }
            return "[" + literals.joined(separator: ", ") + "]"
        case (.map(let values), .map(let element)):
            var literals: [String] = []
            for (key, value) in values.sorted(by: AvroWriter.precedes) {
                literals.append("\(SwiftExpressions.stringLiteral(key)): \(try literal(value, element))")
            }
            return literals.isEmpty ? "[:]" : "[" + literals.joined(separator: ", ") + "]"
        case (.union(let branch, let inner), .union(let branches)): return try literal(inner, branches[branch])
        case (.record(let values), .named(let index)):
            var arguments: [String] = []
            for (field, value) in zip(schema.definitions[index].fields, values) {
                arguments.append("\(SwiftNames.identifier(field.name)): \(try literal(value.value, field.type))")
            }
            return "\(try typeName(type))(" + arguments.joined(separator: ", ") + ")"
        default: throw AvroError(.invalidSchema, "a default \(value.kind) for \(schema.describe(type))")
        }
    }

    private func optional(_ branches: [AvroType]) throws(AvroError) -> (wrapped: AvroType, nullBranch: Int) {
        let nullBranch = branches.firstIndex {
            guard case .primitive(.null, _) = $0 else { return false }
            return true
        }
        guard branches.count == 2, let nullBranch else {
            throw AvroError(
                .invalidSchema,
                "the union \(schema.describe(.union(branches))) is not supported by the generator, which knows unions "
                    + "of null and one other type: put the alternatives into a record of optional fields")
        }
        return (branches[1 - nullBranch], nullBranch)
    }

    private static func swiftName(_ primitive: AvroPrimitive) -> String {
        switch primitive {
        case .null: "Never"
        case .boolean: "Bool"
        case .int: "Int32"
        case .long: "Int64"
        case .float: "Float"
        case .double: "Double"
        case .bytes: "[UInt8]"
        case .string: "String"
        }
    }

    /// The end of the names of `AvroReader`'s and `AvroWriter`'s methods.
    private static func suffix(_ primitive: AvroPrimitive) -> String {
        primitive.rawValue.prefix(1).uppercased() + primitive.rawValue.dropFirst()
    }

    private static func stringLiteral(_ text: String) -> String {
        var literal = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\": literal += "\\\(scalar)"
            case "\u{20}"..."\u{7e}": literal.unicodeScalars.append(scalar)
            default: literal += "\\u{\(String(scalar.value, radix: 16))}"
            }
        }
        return literal + "\""
    }
}
