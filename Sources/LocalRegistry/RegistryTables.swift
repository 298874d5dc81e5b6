import Avro
import GRDB

/// The registry's tables. They live beside the broker's, so their names and the migrations' begin with `registry`.
enum RegistryTables {
    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("registry-1") { database in
            // Ids are never reused, not even after a permanent delete: clients cache them for ever.
            try database.execute(
                sql: """
                    CREATE TABLE registry_schema (
                        id INTEGER PRIMARY KEY AUTOINCREMENT,
                        fingerprint INTEGER NOT NULL,
                        identity TEXT NOT NULL,
                        text TEXT NOT NULL
                    );
                    CREATE INDEX registry_schema_fingerprint ON registry_schema (fingerprint);
                    CREATE TABLE registry_version (
                        subject TEXT NOT NULL,
                        version INTEGER NOT NULL,
                        schema_id INTEGER NOT NULL REFERENCES registry_schema (id),
                        is_deleted INTEGER NOT NULL DEFAULT 0,
                        PRIMARY KEY (subject, version)
                    ) WITHOUT ROWID;
                    CREATE INDEX registry_version_schema ON registry_version (schema_id);
                    CREATE TABLE registry_setting (
                        name TEXT NOT NULL,
                        subject TEXT NOT NULL,
                        value TEXT NOT NULL,
                        PRIMARY KEY (name, subject)
                    ) WITHOUT ROWID;
                    """)
        }
        migrator.registerMigration("registry-2") { database in
            // The list is kept as text to be compared and shown, and as rows to be searched from the other side.
            try database.execute(
                sql: """
                    ALTER TABLE registry_schema ADD COLUMN reference_list TEXT NOT NULL DEFAULT '[]';
                    CREATE TABLE registry_reference (
                        schema_id INTEGER NOT NULL REFERENCES registry_schema (id),
                        subject TEXT NOT NULL,
                        version INTEGER NOT NULL,
                        PRIMARY KEY (subject, version, schema_id)
                    ) WITHOUT ROWID;
                    """)
            try renewIdentities(database)
        }
        return migrator
    }

    /// Writes down again when schemas are the same, after ``SchemaIdentity`` has changed. No schema refers to another
    /// one yet.
    private static func renewIdentities(_ database: Database) throws {
        for row in try Row.fetchAll(database, sql: "SELECT id, text FROM registry_schema") {
            let identity = SchemaIdentity(try AvroSchema(parsing: row[1]))
            try database.execute(
                sql: "UPDATE registry_schema SET fingerprint = ?, identity = ? WHERE id = ?",
                arguments: [identity.fingerprint, identity.text, row[0] as Int64])
        }
    }
}
