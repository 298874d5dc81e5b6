import Avro
import GRDB

/// A schema as it was registered.
struct StoredSchema: Sendable, Hashable {
    var id: Int64
    var text: String
    /// See ``SchemaIdentity``.
    var identity: String
    var references: [SchemaReference]
}

/// One version of a subject.
struct StoredVersion: Sendable, Hashable {
    var subject: String
    var version: Int32
    var schema: StoredSchema
    var isDeleted: Bool
}

/// The registry's rows inside one database transaction.
struct RegistryStore {
    /// Settings that a subject may have for itself; the empty subject stands for all others.
    enum Setting: String {
        case compatibility
        case mode
    }

    static let global = ""

    let database: Database

    // MARK: Schemas

    /// The lowest id of a schema that was registered before, under whatever subject, with the same references.
    func schemaID(of candidate: CandidateSchema) throws -> Int64? {
        try Int64.fetchOne(
            database,
            sql: """
                SELECT MIN(id) FROM registry_schema WHERE fingerprint = ? AND identity = ? AND reference_list = ?
                """,
            arguments: [
                candidate.identity.fingerprint, candidate.identity.text, SchemaReference.text(of: candidate.references),
            ])
    }

    /// - Parameter id: nil for the next free one.
    func insertSchema(_ candidate: CandidateSchema, id: Int64?) throws -> Int64 {
        try database.execute(
            sql: """
                INSERT OR REPLACE INTO registry_schema (id, fingerprint, identity, text, reference_list)
                VALUES (?, ?, ?, ?, ?)
                """,
            arguments: [
                id, candidate.identity.fingerprint, candidate.identity.text, candidate.text,
                SchemaReference.text(of: candidate.references),
            ])
        let inserted = database.lastInsertedRowID
        // Clients take ids for numbers of 32 bits; an import may have used up the last one.
        guard inserted <= Int64(Int32.max) else { throw RegistryError.noSchemaIDLeft }
        try database.execute(sql: "DELETE FROM registry_reference WHERE schema_id = ?", arguments: [inserted])
        for reference in Set(candidate.references.map { SchemaPlace(subject: $0.subject, version: $0.version) }) {
            try database.execute(
                sql: "INSERT INTO registry_reference (schema_id, subject, version) VALUES (?, ?, ?)",
                arguments: [inserted, reference.subject, reference.version])
        }
        return inserted
    }

    private static let schemaColumns = "s.id, s.text, s.identity, s.reference_list"

    private static func schema(_ row: Row) throws -> StoredSchema {
        StoredSchema(id: row[0], text: row[1], identity: row[2], references: try SchemaReference.list(from: row[3]))
    }

    /// A schema that some subject still has, be it as a soft-deleted version.
    func schema(id: Int64) throws -> StoredSchema? {
        try Row.fetchOne(
            database,
            sql: """
                SELECT \(Self.schemaColumns) FROM registry_schema s
                WHERE s.id = ? AND EXISTS (SELECT 1 FROM registry_version WHERE schema_id = s.id)
                """,
            arguments: [id]
        ).map(Self.schema)
    }

    // MARK: Versions

    private static let versionColumns = """
        SELECT \(schemaColumns), v.subject, v.version, v.is_deleted
        FROM registry_version v JOIN registry_schema s ON s.id = v.schema_id
        """

    private static func version(_ row: Row) throws -> StoredVersion {
        StoredVersion(subject: row[4], version: row[5], schema: try schema(row), isDeleted: row[6])
    }

    /// In ascending order, soft-deleted ones included.
    func versions(of subject: String) throws -> [StoredVersion] {
        try Row.fetchAll(
            database, sql: Self.versionColumns + " WHERE v.subject = ? ORDER BY v.version", arguments: [subject]
        ).map(Self.version)
    }

    /// Soft-deleted or not.
    func version(at place: SchemaPlace) throws -> StoredVersion? {
        try Row.fetchOne(
            database, sql: Self.versionColumns + " WHERE v.subject = ? AND v.version = ?",
            arguments: [place.subject, place.version]
        ).map(Self.version)
    }

    func versions(withSchema id: Int64) throws -> [StoredVersion] {
        try Row.fetchAll(
            database, sql: Self.versionColumns + " WHERE v.schema_id = ? ORDER BY v.subject, v.version",
            arguments: [id]
        ).map(Self.version)
    }

    /// The versions of all subjects, sorted by subject and version, soft-deleted ones included.
    func allVersions() throws -> [StoredVersion] {
        try Row.fetchAll(database, sql: Self.versionColumns + " ORDER BY v.subject, v.version").map(Self.version)
    }

    /// Sorted.
    func subjects(includingDeleted: Bool) throws -> [String] {
        try String.fetchAll(
            database,
            sql: "SELECT DISTINCT subject FROM registry_version WHERE is_deleted = 0 OR ? ORDER BY subject",
            arguments: [includingDeleted])
    }

    /// Makes a version, or shows it again if it was soft-deleted.
    func insertVersion(_ version: Int32, of subject: String, schemaID: Int64) throws {
        try database.execute(
            sql: "INSERT OR REPLACE INTO registry_version (subject, version, schema_id) VALUES (?, ?, ?)",
            arguments: [subject, version, schemaID])
    }

    func softDelete(_ version: StoredVersion) throws {
        try database.execute(
            sql: "UPDATE registry_version SET is_deleted = 1 WHERE subject = ? AND version = ?",
            arguments: [version.subject, version.version])
    }

    func remove(_ version: StoredVersion) throws {
        try database.execute(
            sql: "DELETE FROM registry_version WHERE subject = ? AND version = ?",
            arguments: [version.subject, version.version])
    }

    // MARK: Settings

    func value(of setting: Setting, for subject: String) throws -> String? {
        try String.fetchOne(
            database, sql: "SELECT value FROM registry_setting WHERE name = ? AND subject = ?",
            arguments: [setting.rawValue, subject])
    }

    func set(_ setting: Setting, for subject: String, to value: String) throws {
        try database.execute(
            sql: "INSERT OR REPLACE INTO registry_setting (name, subject, value) VALUES (?, ?, ?)",
            arguments: [setting.rawValue, subject, value])
    }

    func removeValue(of setting: Setting, for subject: String) throws {
        try database.execute(
            sql: "DELETE FROM registry_setting WHERE name = ? AND subject = ?",
            arguments: [setting.rawValue, subject])
    }
}
