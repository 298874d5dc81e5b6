import Avro
import GRDB

/// The operations of the registry, each in one transaction of the database.
struct RegistryOperations: Sendable {
    let database: DatabasePool

    /// Which version of a subject is meant.
    enum VersionChoice: Sendable, Hashable, CustomStringConvertible {
        case latest
        case number(Int32)

        /// - Throws: ``RegistryError`` 42202 for anything but a positive number, `latest` or -1, which means the same.
        init(_ text: String) throws(RegistryError) {
            if text == "latest" || text == "-1" {
                self = .latest
            } else if let number = Int32(text), number > 0 {
                self = .number(number)
            } else {
                throw .invalidVersion(text)
            }
        }

        var description: String {
            switch self {
            case .latest: "latest"
            case .number(let number): "\(number)"
            }
        }
    }

    /// Parses what a client sent, outside of the transaction that uses it: parsing takes long and needs no lock. What
    /// it refers to never changes, but may be deleted in between; ``register(_:subject:normalizes:)`` looks again.
    ///
    /// - Parameter includingDeleted: whether it may refer to soft-deleted versions.
    func candidate(
        _ request: SchemaRequest, includingDeleted: Bool = false, normalizes: Bool = false
    ) async throws -> CandidateSchema {
        var references = request.references ?? []
        var referenced: [String] = []
        if !references.isEmpty {
            let wanted = references
            (references, referenced) = try await database.read { database in
                let store = RegistryStore(database: database)
                let resolved = try store.resolve(wanted, includingDeleted: includingDeleted)
                return (resolved, try store.texts(of: resolved))
            }
        }
        return try SchemaRules.parse(
            request, references: references, referenced: referenced, normalizes: normalizes)
    }

    // MARK: Reading

    func lookUp(_ request: SchemaRequest, subject: String, includingDeleted: Bool) async throws -> StoredVersion {
        let candidate = try await candidate(request, includingDeleted: true)
        return try await database.read { database in
            let store = RegistryStore(database: database)
            let versions = try store.versions(of: subject).filter { includingDeleted || !$0.isDeleted }
            guard !versions.isEmpty else { throw RegistryError.subjectNotFound(subject) }
            guard let found = SchemaRules.find(candidate, in: versions) else { throw RegistryError.schemaNotFound }
            return found
        }
    }

    /// - Parameter text: the id as the client wrote it.
    func schema(id text: String) async throws -> StoredSchema {
        guard let id = Int64(text) else { throw RegistryError.notFound }
        let found = try await database.read { try RegistryStore(database: $0).schema(id: id) }
        guard let found else { throw RegistryError.schemaNotFound(id: text) }
        return found
    }

    func highestSchemaID() async throws -> Int64 {
        try await database.read { try Int64.fetchOne($0, sql: "SELECT MAX(id) FROM registry_schema") ?? 0 }
    }

    func versions(withSchema text: String, includingDeleted: Bool) async throws -> [StoredVersion] {
        guard let id = Int64(text) else { throw RegistryError.notFound }
        let versions = try await database.read { try RegistryStore(database: $0).versions(withSchema: id) }
        guard !versions.isEmpty else { throw RegistryError.schemaNotFound(id: text) }
        return versions.filter { includingDeleted || !$0.isDeleted }
    }

    /// The versions of all subjects, sorted by subject and version.
    ///
    /// - Parameter isLatestOnly: whether only the highest version of each subject counts.
    func versions(
        subjectPrefix: String, includingDeleted: Bool, isLatestOnly: Bool
    ) async throws -> [StoredVersion] {
        let all = try await database.read { try RegistryStore(database: $0).allVersions() }
            .filter { $0.subject.hasPrefix(subjectPrefix) && (includingDeleted || !$0.isDeleted) }
        guard isLatestOnly else { return all }
        return all.indices.filter { $0 + 1 == all.count || all[$0 + 1].subject != all[$0].subject }.map { all[$0] }
    }

    func subjects(includingDeleted: Bool) async throws -> [String] {
        try await database.read { try RegistryStore(database: $0).subjects(includingDeleted: includingDeleted) }
    }

    /// In ascending order, at least one.
    func versions(of subject: String, includingDeleted: Bool) async throws -> [StoredVersion] {
        let versions = try await database.read { try RegistryStore(database: $0).versions(of: subject) }
            .filter { includingDeleted || !$0.isDeleted }
        guard !versions.isEmpty else { throw RegistryError.subjectNotFound(subject) }
        return versions
    }

    func version(_ choice: VersionChoice, of subject: String, includingDeleted: Bool) async throws -> StoredVersion {
        let versions = try await versions(of: subject, includingDeleted: includingDeleted)
        return try SchemaRules.choose(choice, from: versions)
    }

    /// - Returns: the ids of the schemas that refer to a version, sorted.
    func referrers(to choice: VersionChoice, of subject: String, includingDeleted: Bool) async throws -> [Int64] {
        let version = try await version(choice, of: subject, includingDeleted: true)
        let referrers = try await database.read { database in
            try RegistryStore(database: database)
                .referrers(to: SchemaPlace(subject: version.subject, version: version.version))
        }
        return Set(referrers.filter { includingDeleted || !$0.isDeleted }.map(\.schema.id)).sorted()
    }

    // MARK: Compatibility

    /// Checks against one version, or against those that the subject's level names.
    ///
    /// - Parameter choice: nil for those that registering would compare with.
    /// - Returns: what stands against the schema; empty if nothing does.
    func objections(
        to request: SchemaRequest, subject: String, version choice: VersionChoice?
    ) async throws -> [String] {
        let candidate = try await candidate(request)
        return try await database.read { database in
            let store = RegistryStore(database: database)
            var versions = try store.versions(of: subject).filter { !$0.isDeleted }
            if let choice {
                if versions.isEmpty {
                    if choice == .latest { return [] }
                    throw RegistryError.subjectNotFound(subject)
                }
                versions = [try SchemaRules.choose(choice, from: versions)]
            }
            return try store.level(for: subject).objections(to: candidate.schema, after: store.parse(versions))
        }
    }
}
