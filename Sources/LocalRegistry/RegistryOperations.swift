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

    // MARK: Registering and looking up

    /// Registers a schema under a subject, once: the same schema again gives the same id and no new version.
    func register(_ request: SchemaRequest, subject: String) async throws -> Int64 {
        let schema = try SchemaRules.parse(request)
        let identity = SchemaIdentity(schema)
        return try await database.write { database in
            let store = RegistryStore(database: database)
            let versions = try store.versions(of: subject)
            let live = versions.filter { !$0.isDeleted }
            let knownID = try store.schemaID(of: identity)
            if let knownID, live.contains(where: { $0.schemaID == knownID }) { return knownID }
            guard try store.mode(for: subject) == .readWrite else { throw RegistryError.readOnly(subject) }
            let objections = try store.level(for: subject).objections(to: schema, after: SchemaRules.parsed(live))
            guard objections.isEmpty else { throw RegistryError.incompatible(subject, objections) }
            let id = try knownID ?? store.insertSchema(schema, identity: identity)
            try store.insertVersion((versions.last?.version ?? 0) + 1, of: subject, schemaID: id)
            return id
        }
    }

    func lookUp(_ request: SchemaRequest, subject: String, includingDeleted: Bool) async throws -> StoredVersion {
        let identity = SchemaIdentity(try SchemaRules.parse(request))
        return try await database.read { database in
            let store = RegistryStore(database: database)
            let versions = try store.versions(of: subject).filter { includingDeleted || !$0.isDeleted }
            guard !versions.isEmpty else { throw RegistryError.subjectNotFound(subject) }
            let id = try store.schemaID(of: identity)
            guard let found = versions.last(where: { $0.schemaID == id }) else { throw RegistryError.schemaNotFound }
            return found
        }
    }

    /// - Parameter text: the id as the client wrote it.
    func schema(id text: String) async throws -> String {
        guard let id = Int64(text) else { throw RegistryError.notFound }
        let found = try await database.read { try RegistryStore(database: $0).schemaText(id: id) }
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

    // MARK: Deleting

    /// - Parameter isPermanent: removes what was soft-deleted before; else the versions are only hidden, and data that
    ///   was written with them can still be read.
    /// - Returns: the versions that were deleted.
    func delete(subject: String, isPermanent: Bool) async throws -> [Int32] {
        try await database.write { database in
            let store = RegistryStore(database: database)
            guard try store.mode(for: subject) == .readWrite else { throw RegistryError.readOnly(subject) }
            let versions = try store.versions(of: subject)
            guard !versions.isEmpty else { throw RegistryError.subjectNotFound(subject) }
            let live = versions.filter { !$0.isDeleted }
            if isPermanent {
                guard live.isEmpty else { throw RegistryError.subjectNotSoftDeleted(subject) }
                for version in versions { try store.remove(version) }
            } else {
                guard !live.isEmpty else { throw RegistryError.subjectSoftDeleted(subject) }
                for version in live { try store.softDelete(version) }
            }
            try store.removeValue(of: .compatibility, for: subject)
            return (isPermanent ? versions : live).map(\.version)
        }
    }

    /// - Returns: the number of the version that was deleted.
    func delete(_ choice: VersionChoice, of subject: String, isPermanent: Bool) async throws -> Int32 {
        try await database.write { database in
            let store = RegistryStore(database: database)
            guard try store.mode(for: subject) == .readWrite else { throw RegistryError.readOnly(subject) }
            let versions = try store.versions(of: subject)
            guard !versions.isEmpty else { throw RegistryError.subjectNotFound(subject) }
            let live = versions.filter { !$0.isDeleted }
            let candidates = choice == .latest && !live.isEmpty ? live : versions
            let version = try SchemaRules.choose(choice, from: candidates)
            if isPermanent {
                guard version.isDeleted else {
                    throw RegistryError.versionNotSoftDeleted(subject, version.version)
                }
                try store.remove(version)
            } else {
                guard !version.isDeleted else { throw RegistryError.versionSoftDeleted(subject, version.version) }
                try store.softDelete(version)
            }
            return version.version
        }
    }

    // MARK: Compatibility

    /// Checks against one version, or against those that the subject's level names.
    ///
    /// - Parameter choice: nil for those that registering would compare with.
    /// - Returns: what stands against the schema; empty if nothing does.
    func objections(
        to request: SchemaRequest, subject: String, version choice: VersionChoice?
    ) async throws -> [String] {
        let schema = try SchemaRules.parse(request)
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
            return try store.level(for: subject).objections(to: schema, after: SchemaRules.parsed(versions))
        }
    }

    // MARK: Settings

    func value(of setting: RegistryStore.Setting, for subject: String) async throws -> String? {
        try await database.read { try RegistryStore(database: $0).value(of: setting, for: subject) }
    }

    func set(_ setting: RegistryStore.Setting, for subject: String, to value: String) async throws {
        try await database.write { try RegistryStore(database: $0).set(setting, for: subject, to: value) }
    }

    /// - Returns: the value that was there.
    func removeValue(of setting: RegistryStore.Setting, for subject: String) async throws -> String? {
        try await database.write { database in
            let store = RegistryStore(database: database)
            let value = try store.value(of: setting, for: subject)
            try store.removeValue(of: setting, for: subject)
            return value
        }
    }
}
