import Foundation

/// That a schema uses types of another one: of this version of this subject.
struct SchemaReference: Codable, Sendable, Hashable {
    /// What the referring schema calls it; with Avro the full name of a type.
    var name: String
    var subject: String
    /// In a request, -1 stands for the latest one.
    var version: Int32

    /// A list of references in one spelling, which is also how the database keeps it: without repetitions, sorted.
    static func text(of references: [SchemaReference]) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let ordered = Set(references).sorted {
            ($0.name, $0.subject, $0.version) < ($1.name, $1.subject, $1.version)
        }
        return String(decoding: try encoder.encode(ordered), as: UTF8.self)
    }

    static func list(from text: String) throws -> [SchemaReference] {
        try JSONDecoder().decode([SchemaReference].self, from: Data(text.utf8))
    }
}
