import Avro
import GRDB

/// One version of a subject.
struct StoredVersion: Sendable, Hashable {
    var subject: String
    var version: Int32
    var schemaID: Int64
    var text: String
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

    /// The id of a schema that was registered before, under whatever subject.
    func schemaID(of identity: SchemaIdentity) throws -> Int64? {
        try Int64.fetchOne(
            database, sql: "SELECT id FROM registry_schema WHERE fingerprint = ? AND identity = ?",
            arguments: [identity.fingerprint, identity.text])
    }

    func insertSchema(_ schema: AvroSchema, identity: SchemaIdentity) throws -> Int64 {
        try database.execute(
            sql: "INSERT INTO registry_schema (fingerprint, identity, text) VALUES (?, ?, ?)",
            arguments: [identity.fingerprint, identity.text, schema.text])
        return database.lastInsertedRowID
    }

    /// The text of a schema that some subject still has, be it as a soft-deleted version.
    func schemaText(id: Int64) throws -> String? {
        try String.fetchOne(
            database,
            sql: """
                SELECT text FROM registry_schema
                WHERE id = ? AND EXISTS (SELECT 1 FROM registry_version WHERE schema_id = registry_schema.id)
                """,
            arguments: [id])
    }

    // MARK: Versions

    private static let versionColumns = """
        SELECT v.subject, v.version, v.schema_id, s.text, v.is_deleted
        FROM registry_version v JOIN registry_schema s ON s.id = v.schema_id
        """

    private static func version(_ row: Row) -> StoredVersion {
        StoredVersion(subject: row[0], version: row[1], schemaID: row[2], text: row[3], isDeleted: row[4])
    }

    /// In ascending order, soft-deleted ones included.
    func versions(of subject: String) throws -> [StoredVersion] {
        try Row.fetchAll(
            database, sql: Self.versionColumns + " WHERE v.subject = ? ORDER BY v.version", arguments: [subject]
        ).map(Self.version)
    }

    func versions(withSchema id: Int64) throws -> [StoredVersion] {
        try Row.fetchAll(
            database, sql: Self.versionColumns + " WHERE v.schema_id = ? ORDER BY v.subject, v.version",
            arguments: [id]
        ).map(Self.version)
    }

    /// Sorted.
    func subjects(includingDeleted: Bool) throws -> [String] {
        try String.fetchAll(
            database,
            sql: "SELECT DISTINCT subject FROM registry_version WHERE is_deleted = 0 OR ? ORDER BY subject",
            arguments: [includingDeleted])
    }

    func insertVersion(_ version: Int32, of subject: String, schemaID: Int64) throws {
        try database.execute(
            sql: "INSERT INTO registry_version (subject, version, schema_id) VALUES (?, ?, ?)",
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
