/// Why data of one schema cannot be read with another: one difference, in the words that schema registries use.
public struct AvroIncompatibility: Sendable, Hashable, CustomStringConvertible {
    /// The kinds of Java's `SchemaCompatibility.SchemaIncompatibilityType`.
    public enum Kind: String, Sendable, Hashable {
        case nameMismatch = "NAME_MISMATCH"
        case fixedSizeMismatch = "FIXED_SIZE_MISMATCH"
        case missingEnumSymbols = "MISSING_ENUM_SYMBOLS"
        case readerFieldMissingDefaultValue = "READER_FIELD_MISSING_DEFAULT_VALUE"
        case typeMismatch = "TYPE_MISMATCH"
        case missingUnionBranch = "MISSING_UNION_BRANCH"
    }

    public var kind: Kind
    /// A JSON pointer into the reader's schema.
    public var path: String
    /// The names, types or symbols concerned.
    public var detail: String

    public var description: String { message(reader: "reader's", writer: "writer's") }

    /// - Parameters:
    ///   - reader: what the reader's schema is called, `new` in a check for backward compatibility.
    ///   - writer: what the writer's schema is called.
    /// - Returns: the difference as one `{errorType:…, description:…, additionalInfo:…}`.
    public func message(reader: String, writer: String) -> String {
        "{errorType:'\(kind.rawValue)', description:'\(explanation(reader, writer))', additionalInfo:'\(detail)'}"
    }

    private func explanation(_ reader: String, _ writer: String) -> String {
        switch kind {
        case .nameMismatch: "The name of the schema has changed (path '\(path)')"
        case .fixedSizeMismatch:
            "The size of FIXED type field at path '\(path)' in the \(reader) schema does not match with "
                + "the \(writer) schema"
        case .missingEnumSymbols:
            "The \(reader) schema is missing enum symbols '\(detail)' at path '\(path)' in the \(writer) schema"
        case .readerFieldMissingDefaultValue:
            "The field '\(detail)' at path '\(path)' in the \(reader) schema has no default value and "
                + "is missing in the \(writer) schema"
        case .typeMismatch:
            "The type (path '\(path)') of a field in the \(reader) schema does not match with the \(writer) schema"
        case .missingUnionBranch:
            "The \(reader) schema is missing a type inside a union field at path '\(path)' in the \(writer) schema"
        }
    }
}

extension AvroSchema {
    /// Whether data written with another schema can always be read with this one (specification, "Schema
    /// Resolution"; the same rules as Java's `SchemaCompatibility`).
    ///
    /// - Parameter writer: the schema of the data.
    /// - Returns: what stands in the way; empty when every value can be read.
    public func incompatibilities(readingDataOf writer: AvroSchema) -> [AvroIncompatibility] {
        var check = CompatibilityCheck(reader: self, writer: writer)
        return check.compare(root, writer.root, path: "")
    }
}

private struct CompatibilityCheck {
    let reader: AvroSchema
    let writer: AvroSchema
    /// Pairs of named types that have been compared or are being compared; the latter count as compatible, which is
    /// what makes recursive schemas end. Of a pair that does not fit only the first reason is kept: it is reported in
    /// full where it is met first, and a chain of records that each use the next one twice would double it per link.
    private var compared: [Pair: [AvroIncompatibility]] = [:]
    private var depth = 0

    /// How deep named types may use each other. Within a schema's text they nest less deep, but two schemas that
    /// leave out different fields can make a comparison enter a long chain of definitions at its far end.
    private static let maximumDepth = 256

    private struct Pair: Hashable {
        var reader: Int
        var writer: Int
    }

    init(reader: AvroSchema, writer: AvroSchema) {
        self.reader = reader
        self.writer = writer
    }

    mutating func compare(_ readerType: AvroType, _ writerType: AvroType, path: String) -> [AvroIncompatibility] {
        switch (readerType, writerType) {
        case (_, .union(let branches)):
            if case .union = readerType {
                return branches.enumerated().flatMap { index, branch in
                    compareUnion(readerType, branch, path: path + "/\(index)")
                }
            }
            return branches.flatMap { compare(readerType, $0, path: path) }
        case (.union, _):
            return compareUnion(readerType, writerType, path: path)
        case (.primitive(let to, _), .primitive(let from, _)):
            return to == from || to.accepts(promotionOf: from) ? [] : [mismatch(readerType, writerType, path)]
        case (.array(let to), .array(let from)): return compare(to, from, path: path + "/items")
        case (.map(let to), .map(let from)): return compare(to, from, path: path + "/values")
        case (.named(let to), .named(let from)): return compareNamed(to, from, path: path)
        default: return [mismatch(readerType, writerType, path)]
        }
    }

    /// A writer's type that is no union against a reader's union: one branch must accept it.
    private mutating func compareUnion(
        _ readerType: AvroType, _ writerType: AvroType, path: String
    ) -> [AvroIncompatibility] {
        guard case .union(let branches) = readerType else { return compare(readerType, writerType, path: path) }
        for branch in branches where compare(branch, writerType, path: path).isEmpty { return [] }
        return [
            AvroIncompatibility(
                kind: .missingUnionBranch, path: path,
                detail: "reader union lacking writer type: \(writer.describe(writerType))")
        ]
    }

    private mutating func compareNamed(_ to: Int, _ from: Int, path: String) -> [AvroIncompatibility] {
        let pair = Pair(reader: to, writer: from)
        if let known = compared[pair] { return known }
        guard depth < CompatibilityCheck.maximumDepth else {
            let detail = "types use each other in a chain of more than \(CompatibilityCheck.maximumDepth)"
            return [AvroIncompatibility(kind: .typeMismatch, path: path, detail: detail)]
        }
        depth += 1
        defer { depth -= 1 }
        compared[pair] = []
        let found = compareDefinitions(reader.definitions[to], writer.definitions[from], path: path)
        compared[pair] = Array(found.prefix(1))
        return found
    }

    private mutating func compareDefinitions(
        _ to: AvroDefinition, _ from: AvroDefinition, path: String
    ) -> [AvroIncompatibility] {
        guard to.kind == from.kind else {
            return [
                AvroIncompatibility(
                    kind: .typeMismatch, path: path.isEmpty ? "/" : path,
                    detail: "reader type: \(to.kind) not compatible with writer type: \(from.kind)")
            ]
        }
        // Two types of different names are not compared further: what else differs says nothing.
        guard to.accepts(nameOf: from) else {
            return [AvroIncompatibility(kind: .nameMismatch, path: path + "/name", detail: "expected: \(from.name)")]
        }
        switch (to.shape, from.shape) {
        case (.fixed(let toSize, _), .fixed(let fromSize, _)) where toSize != fromSize:
            let detail = "expected: \(fromSize), found: \(toSize)"
            return [AvroIncompatibility(kind: .fixedSizeMismatch, path: path + "/size", detail: detail)]
        case (.enumeration(let toSymbols, nil), .enumeration(let fromSymbols, _)):
            let missing = fromSymbols.filter { !toSymbols.contains($0) }
            guard !missing.isEmpty else { return [] }
            let detail = "[" + missing.joined(separator: ", ") + "]"
            return [AvroIncompatibility(kind: .missingEnumSymbols, path: path + "/symbols", detail: detail)]
        case (.record(let toFields), .record(let fromFields)):
            return compareFields(toFields, fromFields, path: path)
        default: return []
        }
    }

    private mutating func compareFields(
        _ toFields: [AvroField], _ fromFields: [AvroField], path: String
    ) -> [AvroIncompatibility] {
        let fromByName = Dictionary(uniqueKeysWithValues: fromFields.map { ($0.name, $0) })
        var found: [AvroIncompatibility] = []
        for (index, field) in toFields.enumerated() {
            let fieldPath = path + "/fields/\(index)"
            let names = CollectionOfOne(field.name) + field.aliases
            if let source = names.lazy.compactMap({ fromByName[$0] }).first {
                found += compare(field.type, source.type, path: fieldPath + "/type")
            } else if field.defaultJSON == nil {
                found.append(
                    AvroIncompatibility(
                        kind: .readerFieldMissingDefaultValue, path: fieldPath, detail: field.name))
            }
        }
        return found
    }

    private func mismatch(_ readerType: AvroType, _ writerType: AvroType, _ path: String) -> AvroIncompatibility {
        let (wanted, found) = (reader.describe(readerType), writer.describe(writerType))
        return AvroIncompatibility(
            kind: .typeMismatch, path: path.isEmpty ? "/" : path,
            detail: "reader type: \(wanted) not compatible with writer type: \(found)")
    }
}

extension AvroPrimitive {
    /// The promotions of the specification, "Schema Resolution".
    func accepts(promotionOf writer: AvroPrimitive) -> Bool {
        switch (writer, self) {
        case (.int, .long), (.int, .float), (.int, .double), (.long, .float), (.long, .double), (.float, .double),
            (.string, .bytes), (.bytes, .string):
            true
        default: false
        }
    }
}
