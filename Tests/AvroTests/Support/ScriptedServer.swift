import Foundation
import Synchronization

/// A server on the loopback interface that does to each request what a test says, well-behaved or not.
final class ScriptedServer: Sendable {
    struct Request: Sendable {
        var method: String
        var target: String
        /// Names in lower case.
        var headers: [String: String]
        var body: [UInt8]
    }

    /// One accepted connection; used by its own thread only.
    final class Connection: Sendable {
        fileprivate let socket: Int32

        fileprivate init(_ socket: Int32) { self.socket = socket }

        /// - Returns: whether the peer took it.
        @discardableResult
        func send(_ bytes: [UInt8]) -> Bool {
            var sent = 0
            while sent < bytes.count {
                let count = bytes[sent...].withUnsafeBytes {
                    Foundation.send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
                }
                if count <= 0 { return false }
                sent += count
            }
            return true
        }

        @discardableResult
        func send(_ text: String) -> Bool { send(Array(text.utf8)) }

        /// A whole response.
        func respond(_ status: Int = 200, headers: String = "", _ body: String = "") {
            send("HTTP/1.1 \(status) X\r\n\(headers)Content-Length: \(body.utf8.count)\r\n\r\n\(body)")
        }

        /// Waits until the peer has closed its end.
        func awaitClose() {
            var buffer = [UInt8](repeating: 0, count: 1024)
            while recv(socket, &buffer, buffer.count, 0) > 0 {}
        }
    }

    private struct Counts {
        var connections = 0
        var requests: [Request] = []
        var open: [Int32] = []
        var isStopped = false
    }

    let port: Int
    private let listener: Int32
    private let counts = Mutex(Counts())
    private let handler: @Sendable (Request, Connection) -> Bool

    /// - Parameter handler: called for each request on its connection's thread; returns whether to go on with the
    ///   connection.
    init(_ handler: @escaping @Sendable (Request, Connection) -> Bool) throws {
        self.handler = handler
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = listener
        let status = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) | listen(descriptor, 512) | getsockname(descriptor, $0, &length)
            }
        }
        guard status == 0 else { throw POSIXError(.EADDRNOTAVAIL) }
        port = Int(UInt16(bigEndian: address.sin_port))
        Thread { [self] in acceptConnections() }.start()
    }

    var url: String { "http://127.0.0.1:\(port)" }
    var connections: Int { counts.withLock { $0.connections } }
    var requests: [Request] { counts.withLock { $0.requests } }

    func stop() {
        // Under the lock, so that no descriptor is shut down that its thread has closed and another server has got.
        counts.withLock { counts in
            guard !counts.isStopped else { return }
            counts.isStopped = true
            shutdown(listener, Int32(SHUT_RDWR))
            for socket in counts.open { shutdown(socket, Int32(SHUT_RDWR)) }
        }
    }

    private func acceptConnections() {
        while true {
            let socket = accept(listener, nil, nil)
            guard socket >= 0 else { break }
            let isStopped = counts.withLock { counts in
                counts.connections += 1
                if !counts.isStopped { counts.open.append(socket) }
                return counts.isStopped
            }
            if isStopped {
                close(socket)
            } else {
                Thread { [self] in serve(Connection(socket)) }.start()
            }
        }
        close(listener)
    }

    private func serve(_ connection: Connection) {
        var buffer: [UInt8] = []
        while let request = read(connection, &buffer) {
            counts.withLock { $0.requests.append(request) }
            if !handler(request, connection) { break }
        }
        counts.withLock { counts in
            counts.open.removeAll { $0 == connection.socket }
            _ = close(connection.socket)
        }
    }

    private func read(_ connection: Connection, _ buffer: inout [UInt8]) -> Request? {
        let end = Array("\r\n\r\n".utf8)
        while true {
            // The first byte of a TLS handshake: a client that wants to speak TLS to this plain server.
            if buffer.first == 0x16 {
                buffer = []
                return Request(method: "TLS", target: "", headers: [:], body: [])
            }
            if let range = buffer.firstRange(of: end) {
                let lines = String(decoding: buffer[..<range.lowerBound], as: UTF8.self).components(separatedBy: "\r\n")
                let first = lines[0].split(separator: " ")
                var headers: [String: String] = [:]
                for line in lines.dropFirst() {
                    let parts = line.split(separator: ":", maxSplits: 1)
                    headers[parts[0].lowercased()] =
                        parts.count > 1 ? parts[1].trimmingCharacters(in: .whitespaces) : ""
                }
                let length = headers["content-length"].flatMap { Int($0) } ?? 0
                if buffer.count >= range.upperBound + length, first.count >= 2 {
                    let body = Array(buffer[range.upperBound..<range.upperBound + length])
                    buffer.removeSubrange(..<(range.upperBound + length))
                    return Request(method: String(first[0]), target: String(first[1]), headers: headers, body: body)
                }
            }
            var chunk = [UInt8](repeating: 0, count: 65_536)
            let count = recv(connection.socket, &chunk, chunk.count, 0)
            guard count > 0 else { return nil }
            buffer.append(contentsOf: chunk[..<count])
        }
    }
}

/// Waits for a condition.
///
/// - Parameter what: named when the time is over.
func eventually(
    _ what: String, within limit: Duration = .seconds(20), _ condition: () throws -> Bool
) async throws {
    let deadline = ContinuousClock.now.advanced(by: limit)
    while !(try condition()) {
        guard ContinuousClock.now < deadline else { throw Oracle.Failure(description: "not within \(limit): \(what)") }
        try await Task.sleep(for: .milliseconds(5))
    }
}
