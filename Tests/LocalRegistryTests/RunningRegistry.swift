import Foundation
import GRDB
import HTTPClient
import LocalRegistry
import Logging
import ServiceLifecycle

/// A registry in this process, over its real socket.
enum RunningRegistry {
    struct Answer {
        var status: Int
        var body: Any?

        subscript(_ name: String) -> Any? { (body as? [String: Any])?[name] }
    }

    struct Client {
        var http: HTTPClient
        var port: Int
        var url: String { "http://127.0.0.1:\(port)" }

        func call(
            _ method: String, _ path: String, _ body: [String: Any]? = nil,
            type: String = "application/vnd.schemaregistry.v1+json", accept: String = "*/*"
        ) async throws -> Answer {
            let bytes = try body.map { Array(try JSONSerialization.data(withJSONObject: $0)) } ?? []
            let response = try await http.send(
                HTTPRequest(
                    method: method, url: url + path,
                    headers: [("Content-Type", type), ("Accept", accept)], body: bytes))
            let parsed = try? JSONSerialization.jsonObject(with: Data(response.body), options: .fragmentsAllowed)
            return Answer(status: response.status, body: parsed)
        }
    }

    /// Runs a registry over a database in a folder of its own while `body` runs.
    static func run(
        in folder: URL, _ body: (Client) async throws -> Void
    ) async throws {
        let database = try DatabasePool(path: folder.appendingPathComponent("registry.sqlite").path)
        let registry = try LocalRegistry(
            database: database, host: "127.0.0.1", port: 0,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        let services = ServiceGroup(
            configuration: ServiceGroupConfiguration(services: [registry], logger: Logger(label: "test")))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await services.run() }
            let http = HTTPClient()
            do {
                try await body(Client(http: http, port: try await registry.boundPort()))
            } catch {
                await http.close()
                await services.triggerGracefulShutdown()
                throw error
            }
            await http.close()
            await services.triggerGracefulShutdown()
            try await group.waitForAll()
        }
        try database.close()
    }

    static func withFolder(_ body: (URL) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("registry-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try await body(folder)
    }
}
