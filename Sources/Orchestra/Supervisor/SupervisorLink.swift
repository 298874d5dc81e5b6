import Foundation
import Synchronization

/// The child's end of the socket pair that ties it to its supervisor.
///
/// The protocol is one JSON object a line, from child to supervisor:
///
/// - `{"ready":{"kafka":"127.0.0.1:9092"}}`: the node serves, at these addresses
/// - `{"failed":"port 8080 is taken …"}`: the node ends because of this
///
/// The supervisor writes nothing. Its end of file means that it is gone (also by SIGKILL); then the node stops itself,
/// gracefully for a moment, so that no orphan is left. A parent-death signal would not do: Linux sends it when the
/// *thread* that spawned the child ends.
final class SupervisorLink: Sendable {
    /// The descriptor that a supervised child finds its end at; ``ChildProcess`` puts it there.
    static let descriptor: Int32 = 3

    enum Message: Sendable, Equatable, Codable {
        case ready([String: String])
        case failed(String)

        private enum CodingKeys: String, CodingKey { case ready, failed }

        init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            if let addresses = try container.decodeIfPresent([String: String].self, forKey: .ready) {
                self = .ready(addresses)
            } else {
                self = .failed(try container.decode(String.self, forKey: .failed))
            }
        }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            switch self {
            case .ready(let addresses): try container.encode(addresses, forKey: .ready)
            case .failed(let reason): try container.encode(reason, forKey: .failed)
            }
        }
    }

    /// Splits what arrives into messages. A line that is no message is left out.
    struct MessageReader {
        /// A child sends some hundred bytes; more without a line end is not from it.
        private static let longestLine = 64 * 1024
        private var pending: [UInt8] = []

        mutating func append(_ bytes: some Collection<UInt8>) -> [Message] {
            pending.append(contentsOf: bytes)
            var lines = pending.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            let rest = lines.removeLast()
            pending = rest.count > Self.longestLine ? [] : Array(rest)
            return lines.compactMap { try? JSONDecoder().decode(Message.self, from: Data($0)) }
        }
    }

    private let file: Int32

    /// Ties this process to its supervisor: from now on it ends with it.
    ///
    /// - Parameters:
    ///   - file: an open descriptor of a stream socket.
    ///   - grace: how long this process may take to stop by itself once the supervisor is gone.
    init(file: Int32, grace: Duration = .seconds(5)) {
        self.file = file
        _ = fcntl(file, F_SETFD, FD_CLOEXEC)
        let thread = Thread {
            var byte: UInt8 = 0
            while true {
                let count = read(file, &byte, 1)
                if count == 0 || (count < 0 && errno != EINTR) { break }
            }
            // As if somebody had asked politely; a node that is not yet listening for signals ends at once.
            kill(getpid(), SIGTERM)
            usleep(UInt32(grace.components.seconds) * 1_000_000)
            _exit(1)
        }
        thread.name = "supervisor-link"
        thread.start()
    }

    /// Tells the supervisor; a supervisor that is gone is noticed by the thread that waits for that.
    func send(_ message: Message) {
        guard var line = try? JSONEncoder().encode(message) else { return }
        line.append(UInt8(ascii: "\n"))
        line.withUnsafeBytes { (bytes: UnsafeRawBufferPointer) in
            var rest = bytes
            while let start = rest.baseAddress, !rest.isEmpty {
                let count = Glibc.send(file, start, rest.count, Int32(MSG_NOSIGNAL))
                guard count > 0 else { return }
                rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(count))
            }
        }
    }
}
