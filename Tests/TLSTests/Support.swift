import Certificates
import Foundation
import NIOCore
import TLS

let allocator = ByteBufferAllocator()

/// Runs `body` with a folder that is gone afterwards.
func withFolder<Result>(_ body: (URL) throws -> Result) throws -> Result {
    let folder = FileManager.default.temporaryDirectory.appending(path: "tls-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    return try body(folder)
}

/// Writes the files of one kind of node into a folder.
typealias CertificateFiles = @Sendable (URL) throws -> Certificates.Files

extension TLSContext {
    convenience init(_ side: Side, _ files: Certificates.Files) throws {
        try self.init(side, certificate: files.certificate, key: files.key, trustRoots: files.trustRoots)
    }

    /// A context with the certificates that `files` writes.
    static func make(_ side: Side, _ files: CertificateFiles) throws -> TLSContext {
        try withFolder { try TLSContext(side, files($0)) }
    }
}

/// Two sessions, and a wire that can hold bytes back or change them.
struct SessionPair {
    let client: TLSSession
    let server: TLSSession
    var isClientDone = false
    var isServerDone = false

    init(client: TLSContext, server: TLSContext) throws {
        self.client = try TLSSession(client)
        self.server = try TLSSession(server)
    }

    /// Two nodes of one cluster.
    init() throws {
        try self.init(client: .make(.client, Certificates.cluster), server: .make(.server, Certificates.cluster))
    }

    /// Carries flights to and fro until neither side has anything to say.
    mutating func shakeHands(tamper: (inout ByteBuffer) -> Void = { _ in }) throws {
        isClientDone = try client.shakeHands()
        while true {
            var isQuiet = true
            if var flight = client.takeOutput(allocator: allocator) {
                isQuiet = false
                tamper(&flight)
                try server.receive(flight)
                if !isServerDone { isServerDone = try server.shakeHands() }
            }
            if var flight = server.takeOutput(allocator: allocator) {
                isQuiet = false
                tamper(&flight)
                try client.receive(flight)
                if !isClientDone { isClientDone = try client.shakeHands() }
            }
            if isQuiet { return }
        }
    }
}

extension TLSSession {
    /// All the plain text that came, and how reading ended.
    func readAll() throws -> (ByteBuffer, ReadResult) {
        var text = ByteBuffer()
        while true {
            let result = try read(into: &text)
            if result != .bytes { return (text, result) }
        }
    }

    func write(_ text: String) throws -> ByteBuffer {
        try write(ByteBuffer(string: text), allocator: allocator)
    }
}
