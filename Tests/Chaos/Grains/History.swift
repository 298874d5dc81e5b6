import Foundation
import Synchronization

/// What clients saw, one JSON object a line: `invoke` before a call, then one of `ok`, `fail` (it had no effect) and
/// `unknown` (it may have had one, or may still have it later).
///
/// Times are nanoseconds of the machine's monotonic clock, so that several files can be merged.
final class History: Sendable {
    struct Event: Encodable {
        var event: String
        var operation: String
        var time: UInt64
        var key: String?
        var function: String?
        var arguments: [Int]?
        var value: Int?
        var attempts: Int?
        var error: String?
    }

    private struct Buffer {
        var bytes = Data()
        var isClosed = false
    }

    private let file: FileHandle
    private let buffer = Mutex(Buffer())

    /// - Parameter path: it is appended to.
    init(path: String) throws {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND, 0o644)
        guard descriptor >= 0 else { throw CocoaError(.fileWriteUnknown, userInfo: [NSFilePathErrorKey: path]) }
        file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
    }

    static func now() -> UInt64 { DispatchTime.now().uptimeNanoseconds }

    func add(_ event: some Encodable) {
        // Encoding of numbers and short strings does not fail.
        guard let line = try? JSONEncoder().encode(event) else { return }
        buffer.withLock { buffer in
            buffer.bytes += line
            buffer.bytes.append(UInt8(ascii: "\n"))
            if buffer.bytes.count > 1 << 16 { flush(&buffer) }
        }
    }

    func close() {
        buffer.withLock { buffer in
            flush(&buffer)
            buffer.isClosed = true
        }
    }

    private func flush(_ buffer: inout Buffer) {
        guard !buffer.isClosed else { return }
        do {
            try file.write(contentsOf: buffer.bytes)
        } catch {
            // A history with a hole proves nothing: the run has to fail.
            fatalError("cannot write the history: \(error)")
        }
        buffer.bytes.removeAll(keepingCapacity: true)
    }
}
