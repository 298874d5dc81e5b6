import Foundation
import OrchestraCore
import Synchronization

/// The log file of one child: rotated by size, with its last lines at hand for the moment when the child dies.
///
/// The child's output passes through here as bytes; nothing in it can fail the supervisor. A full disk loses log lines
/// and nothing else.
final class ChildLog: Sendable {
    let path: String
    private let state: Mutex<State>

    private struct State {
        var file: Int32
        var size: Int
        /// The newest last.
        var lastLines: [String] = []
        var line: [UInt8] = []
    }

    private static let keptLines = 20
    private static let longestKeptLine = 2000
    private let maximumSize: Int
    private let keptFiles: Int

    /// Opens the file at its end.
    ///
    /// - Parameters:
    ///   - path: of the newest file; older ones get `.1`, `.2`, … appended.
    ///   - maximumSize: in bytes; a file is rotated at the first line end after it.
    ///   - keptFiles: how many older files stay.
    init(path: String, maximumSize: Int = 8 << 20, keptFiles: Int = 3) throws(OrchestraError) {
        self.path = path
        self.maximumSize = maximumSize
        self.keptFiles = keptFiles
        let file = Self.open(path)
        guard file >= 0 else {
            throw OrchestraError(
                .unavailable, "cannot write the log \(path): \(String(cString: strerror(errno)))",
                nextStep: "make it writable, or choose another directory with --data-dir")
        }
        state = Mutex(State(file: file, size: Int(lseek(file, 0, SEEK_END))))
    }

    deinit {
        state.withLock { _ = close($0.file) }
    }

    /// The last complete lines, the newest last.
    func lastLines(_ count: Int) -> [String] {
        state.withLock { Array($0.lastLines.suffix(count)) }
    }

    func append(_ bytes: some Collection<UInt8>) {
        state.withLock { state in
            for byte in bytes {
                guard byte == UInt8(ascii: "\n") else {
                    if state.line.count < Self.longestKeptLine { state.line.append(byte) }
                    continue
                }
                Self.keepLine(&state)
            }
            let bytes = Array(bytes)
            _ = write(state.file, bytes, bytes.count)
            state.size += bytes.count
            if state.size >= maximumSize, bytes.last == UInt8(ascii: "\n") { rotate(&state) }
        }
    }

    /// Takes an unfinished last line as a line: its writer is gone.
    func finishLine() {
        state.withLock { state in
            guard !state.line.isEmpty else { return }
            Self.keepLine(&state)
            _ = write(state.file, "\n", 1)
        }
    }

    private static func keepLine(_ state: inout State) {
        state.lastLines.append(String(decoding: state.line, as: UTF8.self))
        state.line.removeAll(keepingCapacity: true)
        if state.lastLines.count > keptLines { state.lastLines.removeFirst() }
    }

    private static func open(_ path: String) -> Int32 {
        Glibc.open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
    }

    private func rotate(_ state: inout State) {
        for number in stride(from: keptFiles, to: 1, by: -1) {
            rename("\(path).\(number - 1)", "\(path).\(number)")
        }
        rename(path, "\(path).1")
        let file = Self.open(path)
        guard file >= 0 else { return }
        close(state.file)
        state.file = file
        state.size = 0
    }
}
