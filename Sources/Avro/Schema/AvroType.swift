/// A type inside a schema. Records, enums and fixed types are referred to by their place in
/// ``AvroSchema/definitions``, so that recursive schemas are plain values.
package indirect enum AvroType: Sendable, Hashable {
    /// The logical type is kept as it was written, whether or not anybody knows it; that of a decimal is written
    /// `decimal(precision,scale)`, since these decide what the bytes mean.
    case primitive(AvroPrimitive, logicalType: String?)
    case array(AvroType)
    case map(AvroType)
    case union([AvroType])
    case named(Int)
}

package enum AvroPrimitive: String, Sendable, Hashable, CaseIterable {
    case null, boolean, int, long, float, double, bytes, string
}

/// A record, enum or fixed type.
package struct AvroDefinition: Sendable, Hashable {
    package enum Shape: Sendable, Hashable {
        case record([AvroField])
        case enumeration(symbols: [String], defaultSymbol: String?)
        case fixed(size: Int, logicalType: String?)
    }

    package var name: AvroName
    package var aliases: [AvroName]
    package var documentation: String?
    package var shape: Shape

    /// `record`, `enum` or `fixed`.
    package var kind: String {
        switch shape {
        case .record: "record"
        case .enumeration: "enum"
        case .fixed: "fixed"
        }
    }

    package var fields: [AvroField] {
        guard case .record(let fields) = shape else { return [] }
        return fields
    }

    /// Whether data written as `writer` may be read as this type as far as names go: the names are equal without
    /// their namespaces, or one of this type's aliases is the writer's full name (as Java's `SchemaCompatibility`).
    package func accepts(nameOf writer: AvroDefinition) -> Bool {
        name.short == writer.name.short || aliases.contains(writer.name)
    }
}

package struct AvroField: Sendable, Hashable {
    package var name: String
    package var aliases: [String]
    package var documentation: String?
    package var type: AvroType
    package var defaultJSON: JSONValue?
    /// The default in the form of the field's type; set once the whole schema has been parsed.
    package var defaultValue: AvroValue?
}

/// A full name: namespace and short name.
package struct AvroName: Sendable, Hashable, CustomStringConvertible {
    /// Empty for a name without a namespace.
    package var namespace: String
    package var short: String

    package var description: String { namespace.isEmpty ? short : namespace + "." + short }

    package init(namespace: String, short: String) {
        self.namespace = namespace
        self.short = short
    }

    /// - Parameters:
    ///   - name: a full name if it contains a dot, else a short one.
    ///   - namespace: the namespace of short names.
    package init(_ name: String, namespace: String) {
        if let dot = name.lastIndex(of: ".") {
            self.init(namespace: String(name[..<dot]), short: String(name[name.index(after: dot)...]))
        } else {
            self.init(namespace: namespace, short: name)
        }
    }

    /// Whether every part is a letter or `_` followed by letters, digits and `_`, all ASCII.
    package var isValid: Bool {
        AvroName.isValidPart(short)
            && (namespace.isEmpty
                || namespace.split(separator: ".", omittingEmptySubsequences: false)
                    .allSatisfy { AvroName.isValidPart(String($0)) })
    }

    package static func isValidPart(_ part: String) -> Bool {
        guard let first = part.utf8.first, isLetter(first) else { return false }
        return part.utf8.allSatisfy { isLetter($0) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    }

    private static func isLetter(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
            || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) || byte == UInt8(ascii: "_")
    }
}
