import GRDB
import Logging
import NIOCore

// SQLite writes commits to its write-ahead log first, and pages back into the database file from time to time: a
// checkpoint, with a flush to the disk. Left to itself SQLite does that inside of somebody's commit. Here another
// connection does it beside the writer. What the writer appends meanwhile is left for the next time, so a log under
// constant load is never quite empty and could grow for ever: beyond `hardLimitBytes` the writer itself does the rest,
// which is little by then, and starts the log anew.
//
/// Keeps the write-ahead log short. Belongs to the broker's event loop, like ``GroupCommitter``.
final class Checkpointer {
    /// Bytes of changes after which a checkpoint is worth its flush.
    static let softLimitBytes = 16 << 20
    static let hardLimitBytes = 192 << 20
    /// What a commit costs the log besides its batches: the pages of tables and indexes that it touches.
    private static let bytesPerCommit = 32 << 10

    private let pool: DatabasePool
    private let queue: DatabaseQueue
    private let eventLoop: any EventLoop
    private let logger: Logger
    private var bytesSinceCheckpoint = 0
    private var bytesSinceRestart = 0
    private var isRunning = false

    init(pool: DatabasePool, eventLoop: any EventLoop, logger: Logger) throws {
        self.pool = pool
        self.eventLoop = eventLoop
        self.logger = logger
        var configuration = Configuration()
        configuration.label = "broker checkpoints"
        configuration.busyMode = .timeout(1)
        configuration.prepareDatabase { database in
            try database.execute(sql: "PRAGMA wal_autocheckpoint = 0")
            try database.execute(sql: "PRAGMA cache_size = -100")
        }
        queue = try DatabaseQueue(path: pool.path, configuration: configuration)
    }

    /// A transaction has been committed.
    ///
    /// - Parameter bytes: of the record batches in it.
    func note(bytes: Int) {
        bytesSinceCheckpoint += bytes + Self.bytesPerCommit
        bytesSinceRestart += bytes + Self.bytesPerCommit
        guard !isRunning, bytesSinceCheckpoint >= Self.softLimitBytes else { return }
        isRunning = true
        bytesSinceCheckpoint = 0
        let mustRestart = bytesSinceRestart >= Self.hardLimitBytes
        let callback = NIOLoopBound(self, eventLoop: eventLoop)
        queue.asyncWriteWithoutTransaction { [pool, eventLoop] database in
            var result = Result { try database.checkpoint(.passive) }
            if mustRestart, case .success(let done) = result, done.checkpointedFrameCount < done.walFrameCount {
                result = Result { try pool.writeWithoutTransaction { try $0.checkpoint(.passive) } }
            }
            eventLoop.execute { [result] in callback.value.finish(result) }
        }
    }

    private func finish(_ result: Result<(walFrameCount: Int, checkpointedFrameCount: Int), any Error>) {
        isRunning = false
        switch result {
        case .success(let done):
            if done.checkpointedFrameCount >= done.walFrameCount { bytesSinceRestart = 0 }
        case .failure(let error):
            // A reader or the other connection was in the way; the log is only longer until the next time.
            logger.debug("the write-ahead log could not be shortened", metadata: ["error": "\(error)"])
        }
    }
}
