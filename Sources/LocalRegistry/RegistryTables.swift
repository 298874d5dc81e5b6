import GRDB

/// The registry's tables. They live beside the broker's, so their names and the migration's begin with `registry`.
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
        return migrator
    }
}
