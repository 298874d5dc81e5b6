import Avro
import GRDB

/// A version of a subject, whether or not it exists.
struct SchemaPlace: Sendable, Hashable {
    var subject: String
    var version: Int32
}

extension RegistryStore {
    /// How many schemas one schema may refer to, directly or not.
    static let maximumReferences = 256

    /// The texts of what is referred to, directly or not, each after those that it refers to itself.
    ///
    /// - Throws: ``RegistryError`` 42201 when one of them does not exist.
    func texts(of references: [SchemaReference]) throws -> [String] {
        var seen: Set<SchemaPlace> = []
        var texts: [String] = []
        try collect(references, &seen, &texts)
        return texts
    }

    private func collect(
        _ references: [SchemaReference], _ seen: inout Set<SchemaPlace>, _ texts: inout [String]
    ) throws {
        for reference in references {
            let place = SchemaPlace(subject: reference.subject, version: reference.version)
            guard seen.insert(place).inserted else { continue }
            guard seen.count <= Self.maximumReferences else {
                throw RegistryError.invalidSchema("it refers to more than \(Self.maximumReferences) other schemas")
            }
            guard let found = try version(at: place) else { throw RegistryError.referenceNotFound(reference) }
            try collect(found.schema.references, &seen, &texts)
            texts.append(found.schema.text)
        }
    }

    /// - Returns: the same with numbers for versions.
    /// - Throws: ``RegistryError`` 42201 when one of them does not exist or is soft-deleted.
    func resolve(_ references: [SchemaReference], includingDeleted: Bool) throws -> [SchemaReference] {
        try references.map { reference in
            var found: StoredVersion?
            if reference.version == -1 {
                found = try versions(of: reference.subject).last { !$0.isDeleted }
            } else {
                found = try version(at: SchemaPlace(subject: reference.subject, version: reference.version))
            }
            guard let found, includingDeleted || !found.isDeleted else {
                throw RegistryError.referenceNotFound(reference)
            }
            return SchemaReference(name: reference.name, subject: reference.subject, version: found.version)
        }
    }

    /// The versions whose schemas refer to this one, sorted, soft-deleted ones included.
    func referrers(to place: SchemaPlace) throws -> [StoredVersion] {
        let ids = try Int64.fetchAll(
            database,
            sql: "SELECT schema_id FROM registry_reference WHERE subject = ? AND version = ? ORDER BY schema_id",
            arguments: [place.subject, place.version])
        return try ids.flatMap(versions(withSchema:))
    }

    /// - Parameters:
    ///   - versions: what is to be deleted together.
    ///   - isPermanent: whether soft-deleted versions count too, as data that was written with them can still be read.
    ///     Confluent's registry does not count them, and cannot read such data any more.
    /// - Throws: ``RegistryError`` 42206 when another version refers to one of them.
    func expectUnreferenced(_ versions: [StoredVersion], isPermanent: Bool) throws {
        let places = Set(versions.map { SchemaPlace(subject: $0.subject, version: $0.version) })
        for place in places.sorted(by: { $0.version < $1.version }) {
            let others = try referrers(to: place).filter { referrer in
                (isPermanent || !referrer.isDeleted)
                    && !places.contains(SchemaPlace(subject: referrer.subject, version: referrer.version))
            }
            guard others.isEmpty else { throw RegistryError.referenced(place, by: others) }
        }
    }

    /// Parses a registered schema.
    func parse(_ stored: StoredSchema) throws -> AvroSchema {
        try AvroSchema(parsing: stored.text, referenced: texts(of: stored.references))
    }

    func parse(_ versions: [StoredVersion]) throws -> [(version: Int32, schema: AvroSchema)] {
        try versions.map { (version: $0.version, schema: try parse($0.schema)) }
    }
}
