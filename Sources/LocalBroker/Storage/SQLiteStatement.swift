import GRDB
import GRDBSQLite

/// A prepared statement that is bound and stepped through SQLite's C interface, because record batches are megabytes
/// that GRDB's value types would copy twice. To be used only where GRDB lends its connection.
struct SQLiteStatement {
    private let statement: Statement
    private var handle: OpaquePointer { statement.sqliteStatement }

    /// - Parameter database: the connection; keeps the statement prepared for the next use.
    init(_ sql: String, in database: Database) throws {
        statement = try database.cachedStatement(sql: sql)
    }

    func bind(_ index: Int32, _ value: Int64) { sqlite3_bind_int64(handle, index, value) }

    func bind(_ index: Int32, _ value: Int64?) {
        if let value { bind(index, value) } else { sqlite3_bind_null(handle, index) }
    }

    func bind(_ index: Int32, _ value: String) {
        // -1 is SQLITE_TRANSIENT: SQLite takes a copy. The length is given because names may contain NUL.
        let copies = unsafeBitCast(-1, to: sqlite3_destructor_type.self)
        _ = value.withCString { sqlite3_bind_text(handle, index, $0, Int32(value.utf8.count), copies) }
    }

    /// Binds bytes without copying them and runs the statement to its end.
    func run(blob bytes: [UInt8], at index: Int32) throws {
        try bytes.withUnsafeBytes { raw in
            if raw.isEmpty {
                sqlite3_bind_zeroblob(handle, index, 0)
            } else {
                sqlite3_bind_blob64(handle, index, raw.baseAddress, UInt64(raw.count), nil)
            }
            try run()
        }
    }

    /// Runs a statement that returns no rows.
    func run() throws {
        defer { reset() }
        guard sqlite3_step(handle) == SQLITE_DONE else { throw failure() }
    }

    /// Steps to the next row; at the end resets the statement.
    func step() throws -> Bool {
        switch sqlite3_step(handle) {
        case SQLITE_ROW: return true
        case SQLITE_DONE:
            reset()
            return false
        default:
            let error = failure()
            reset()
            throw error
        }
    }

    func reset() {
        sqlite3_reset(handle)
        sqlite3_clear_bindings(handle)
    }

    func integer(_ column: Int32) -> Int64 { sqlite3_column_int64(handle, column) }

    func optionalInteger(_ column: Int32) -> Int64? {
        sqlite3_column_type(handle, column) == SQLITE_NULL ? nil : integer(column)
    }

    func text(_ column: Int32) -> String {
        String(decoding: bytes(column), as: UTF8.self)
    }

    func bytes(_ column: Int32) -> [UInt8] {
        guard let start = sqlite3_column_blob(handle, column) else { return [] }
        return Array(UnsafeRawBufferPointer(start: start, count: Int(sqlite3_column_bytes(handle, column))))
    }

    private func failure() -> DatabaseError {
        let connection = sqlite3_db_handle(handle)
        return DatabaseError(
            resultCode: ResultCode(rawValue: sqlite3_extended_errcode(connection)),
            message: String(cString: sqlite3_errmsg(connection)), sql: statement.sql)
    }
}
