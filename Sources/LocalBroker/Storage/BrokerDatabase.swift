import Foundation
import GRDB
import OrchestraCore

// The data folder: `broker.sqlite` (with SQLite's own -wal and -shm files) and `broker.lock`. Tables:
//
//     topic, topic_config         what exists
//     log_partition               one row per partition: where its log starts, and where it ends if that is not to be
//                                 seen from its batches (they may all have been deleted)
//     batch                       one row per record batch: the log itself
//     producer, aborted           what partitions know of their producers (ProducerLedger)
//     transaction_state           transactional ids (TransactionCoordinator)
//     consumer_group, group_offset, pending_offset (GroupCoordinator)
//     garbage                     partitions of deleted topics whose batches are being deleted in the background
//     setting                     cluster id, next producer id
//
// The Schema Registry keeps its own tables, with its own migrations, in the same database.

/// Opens the database of a data folder and keeps its lock.
struct BrokerDatabase: Sendable {
    /// "OrB1": tells our files from other SQLite databases.
    static let applicationID: Int32 = 0x4f72_4231
    static let fileName = "broker.sqlite"

    let pool: DatabasePool
    let lock: DirectoryLock

    /// - Parameters:
    ///   - directory: made if it does not exist.
    ///   - syncsToDisk: whether each commit is flushed to the disk itself, so that it survives a power failure too.
    /// - Throws: ``OrchestraError``: `unavailable` if another broker uses the folder, `badConfiguration` if it cannot be
    ///   used, `quarantined` if its file is foreign, damaged or of a newer version.
    static func open(directory: String, syncsToDisk: Bool) throws(OrchestraError) -> BrokerDatabase {
        do {
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        } catch {
            throw OrchestraError(
                .badConfiguration, "the data folder \(directory) cannot be made",
                nextStep: "name a folder that this user may write", cause: error)
        }
        let lock = try DirectoryLock(directory: directory)
        let path = directory + "/" + fileName
        try refuseForeignFile(path)
        do {
            let pool = try DatabasePool(path: path, configuration: configuration(syncsToDisk: syncsToDisk))
            try migrate(pool)
            return BrokerDatabase(pool: pool, lock: lock)
        } catch let error as OrchestraError {
            throw error
        } catch {
            throw damaged(path, error)
        }
    }

    /// Reads the state back; gives a new folder its cluster id.
    func loadState() throws(OrchestraError) -> LoadedState {
        do {
            try pool.write { database in
                try database.execute(
                    sql: "INSERT OR IGNORE INTO setting (name, value) VALUES ('cluster_id', ?)",
                    arguments: [UUID().uuidString])
            }
            return try pool.read { try StateLoader.load(from: $0) }
        } catch let error as OrchestraError {
            throw error
        } catch {
            throw Self.damaged(pool.path, error)
        }
    }

    private static func configuration(syncsToDisk: Bool) -> Configuration {
        var configuration = Configuration()
        configuration.label = "broker"
        configuration.maximumReaderCount = 4
        configuration.busyMode = .timeout(10)
        configuration.prepareDatabase { database in
            // In WAL mode NORMAL is enough for a killed process: a commit has been handed to the operating system.
            try database.execute(sql: "PRAGMA synchronous = \(syncsToDisk ? "FULL" : "NORMAL")")
            // `Checkpointer` does it; this is for what is written without it (the registry alone).
            try database.execute(sql: "PRAGMA wal_autocheckpoint = 100000")
            // The log is written anew from its beginning and keeps its size: to cut it holds commits up, by 340 ms where
            // the file system discards freed blocks.
            try database.execute(sql: "PRAGMA journal_size_limit = \(2 * Checkpointer.hardLimitBytes)")
            // In KiB. Appending needs few pages; readers go through the log once.
            try database.execute(sql: "PRAGMA cache_size = \(database.configuration.readonly ? -1000 : -8000)")
            try database.execute(sql: "PRAGMA temp_store = MEMORY")
        }
        return configuration
    }

    /// A file that is there already must be a database of ours.
    private static func refuseForeignFile(_ path: String) throws(OrchestraError) {
        guard let file = FileHandle(forReadingAtPath: path) else { return }
        defer { try? file.close() }
        let header: [UInt8]
        do {
            header = Array(try file.read(upToCount: 100) ?? Data())
        } catch {
            throw damaged(path, error)
        }
        guard !header.isEmpty else { return }
        guard header.count == 100, header.starts(with: Array("SQLite format 3\0".utf8)) else {
            throw OrchestraError(
                .quarantined, "\(path) is not a SQLite database",
                nextStep: "move the file away, or choose another data folder")
        }
        let found = header[68..<72].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        // 0: the process ended before the first migration was complete; then there are no tables of ours either.
        guard found == UInt32(applicationID) || found == 0 else {
            throw OrchestraError(
                .quarantined, "\(path) is a database of another program (application id \(found))",
                nextStep: "choose another data folder")
        }
    }

    static func damaged(_ path: String, _ cause: any Error) -> OrchestraError {
        OrchestraError(
            .quarantined, "the database \(path) cannot be read",
            nextStep: "restore it from a copy, or move the data folder away to start empty", cause: cause)
    }

    /// Opens a database that exists, to look at it only.
    ///
    /// - Throws: ``OrchestraError`` `quarantined` if it is foreign or of another version; what SQLite throws.
    static func openForReading(_ path: String) throws -> DatabaseQueue {
        try refuseForeignFile(path)
        var configuration = Configuration()
        configuration.label = "broker check"
        configuration.readonly = true
        let queue = try DatabaseQueue(path: path, configuration: configuration)
        let applied = try refuseForeignSchema(queue, path)
        guard applied.isSuperset(of: BrokerSchema.migrator.migrations) else {
            throw OrchestraError(
                .quarantined, "\(path) was written by an older version, or never completely made",
                nextStep: "start the broker on it once, then check it again")
        }
        return queue
    }

    private static func migrate(_ pool: DatabasePool) throws {
        try refuseForeignSchema(pool, pool.path)
        try BrokerSchema.migrator.migrate(pool)
    }

    /// - Returns: the migrations that have been applied.
    @discardableResult
    private static func refuseForeignSchema(_ reader: some DatabaseReader, _ path: String) throws -> Set<String> {
        let migrator = BrokerSchema.migrator
        let (applied, foreignTables, applicationID) = try reader.read { database in
            (
                try migrator.appliedIdentifiers(database),
                try Int.fetchOne(database, sql: "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table'") ?? 0,
                try Int32.fetchOne(database, sql: "PRAGMA application_id") ?? 0
            )
        }
        if applicationID == 0, foreignTables > 0 {
            throw OrchestraError(
                .quarantined, "\(path) is a database of another program",
                nextStep: "choose another data folder")
        }
        let newer = applied.filter { $0.hasPrefix(BrokerSchema.prefix) }.subtracting(migrator.migrations)
        guard newer.isEmpty else {
            throw OrchestraError(
                .quarantined,
                "\(path) was written by a newer version (schema \(newer.sorted().joined(separator: ", ")))",
                nextStep: "use that version of orchestra, or another data folder")
        }
        return applied
    }
}

/// The tables, by version.
enum BrokerSchema {
    static let prefix = "broker-"

    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("broker-1") { database in
            try database.execute(sql: "PRAGMA application_id = \(BrokerDatabase.applicationID)")
            try database.execute(sql: version1)
        }
        return migrator
    }

    private static let version1 = """
        CREATE TABLE topic (
            id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE,
            id_high INTEGER NOT NULL, id_low INTEGER NOT NULL
        );
        CREATE TABLE topic_config (
            topic_id INTEGER NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (topic_id, name)
        ) WITHOUT ROWID;
        CREATE TABLE log_partition (
            id INTEGER PRIMARY KEY AUTOINCREMENT, topic_id INTEGER NOT NULL, number INTEGER NOT NULL,
            log_start_offset INTEGER NOT NULL DEFAULT 0, next_offset INTEGER NOT NULL DEFAULT 0,
            compacted_offset INTEGER NOT NULL DEFAULT 0,
            UNIQUE (topic_id, number)
        );
        CREATE TABLE batch (
            id INTEGER PRIMARY KEY, partition_id INTEGER NOT NULL, base_offset INTEGER NOT NULL,
            last_offset INTEGER NOT NULL, max_timestamp INTEGER NOT NULL, size INTEGER NOT NULL,
            attributes INTEGER NOT NULL, producer_id INTEGER NOT NULL, producer_epoch INTEGER NOT NULL,
            base_sequence INTEGER NOT NULL, delete_horizon INTEGER, records BLOB NOT NULL
        );
        CREATE INDEX batch_horizon ON batch (partition_id, delete_horizon) WHERE delete_horizon IS NOT NULL;
        CREATE INDEX batch_place ON batch (partition_id, last_offset, base_offset, max_timestamp, size);
        CREATE TABLE producer (
            partition_id INTEGER NOT NULL, producer_id INTEGER NOT NULL, epoch INTEGER NOT NULL,
            transaction_first_offset INTEGER, last_timestamp INTEGER NOT NULL, batches BLOB NOT NULL,
            PRIMARY KEY (partition_id, producer_id)
        ) WITHOUT ROWID;
        CREATE TABLE aborted (
            partition_id INTEGER NOT NULL, last_offset INTEGER NOT NULL, producer_id INTEGER NOT NULL,
            first_offset INTEGER NOT NULL, last_stable_offset INTEGER NOT NULL,
            PRIMARY KEY (partition_id, last_offset)
        ) WITHOUT ROWID;
        CREATE TABLE transaction_state (
            transactional_id TEXT PRIMARY KEY, producer_id INTEGER NOT NULL, epoch INTEGER NOT NULL,
            state TEXT NOT NULL, details BLOB NOT NULL
        ) WITHOUT ROWID;
        CREATE TABLE consumer_group (
            group_id TEXT PRIMARY KEY, generation INTEGER NOT NULL, details BLOB NOT NULL
        ) WITHOUT ROWID;
        CREATE TABLE group_offset (
            group_id TEXT NOT NULL, topic TEXT NOT NULL, partition INTEGER NOT NULL, next_offset INTEGER NOT NULL,
            leader_epoch INTEGER NOT NULL, metadata TEXT NOT NULL, commit_time INTEGER NOT NULL,
            PRIMARY KEY (group_id, topic, partition)
        ) WITHOUT ROWID;
        CREATE TABLE pending_offset (
            producer_id INTEGER NOT NULL, group_id TEXT NOT NULL, topic TEXT NOT NULL, partition INTEGER NOT NULL,
            next_offset INTEGER NOT NULL, leader_epoch INTEGER NOT NULL, metadata TEXT NOT NULL,
            commit_time INTEGER NOT NULL,
            PRIMARY KEY (producer_id, group_id, topic, partition)
        ) WITHOUT ROWID;
        CREATE TABLE garbage (partition_id INTEGER PRIMARY KEY);
        CREATE TABLE setting (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
        """
}
