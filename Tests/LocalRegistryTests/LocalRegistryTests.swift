import Foundation
import GRDB
import Logging
import Testing

@testable import LocalRegistry

/// The registry over its real socket. The whole contract is checked by `Tests/Conformance/registry_conformance.py`
/// with Confluent's client; here is what needs no Python.
@Suite("LocalRegistry")
struct LocalRegistryTests {
    static let schema = #"{"type":"record","name":"R","fields":[{"name":"a","type":"string"}]}"#

    @Test("schemas, versions and settings survive a restart; ids go on")
    func restart() async throws {
        try await RunningRegistry.withFolder { folder in
            try await RunningRegistry.run(in: folder) { client in
                let registered = try await client.call("POST", "/subjects/s/versions", ["schema": Self.schema])
                #expect(registered.status == 200)
                #expect(registered["id"] as? Int == 1)
                let config = try await client.call("PUT", "/config/s", ["compatibility": "FULL"])
                #expect(config.status == 200)
            }
            try await RunningRegistry.run(in: folder) { client in
                let again = try await client.call("POST", "/subjects/other/versions", ["schema": Self.schema])
                #expect(again["id"] as? Int == 1)
                let level = try await client.call("GET", "/config/s")
                #expect(level["compatibilityLevel"] as? String == "FULL")
                let next = try await client.call("POST", "/subjects/third/versions", ["schema": "\"int\""])
                #expect(next["id"] as? Int == 2)
            }
        }
    }

    @Test("an id is not handed out again after a permanent delete")
    func idsAreNotReused() async throws {
        try await RunningRegistry.withFolder { folder in
            try await RunningRegistry.run(in: folder) { client in
                _ = try await client.call("POST", "/subjects/s/versions", ["schema": Self.schema])
                _ = try await client.call("DELETE", "/subjects/s")
                _ = try await client.call("DELETE", "/subjects/s?permanent=true")
                let gone = try await client.call("GET", "/schemas/ids/1")
                #expect(gone.status == 404)
                #expect(gone["error_code"] as? Int == 40403)
                let next = try await client.call("POST", "/subjects/t/versions", ["schema": "\"int\""])
                #expect(next["id"] as? Int == 2)
            }
        }
    }

    @Test("errors carry Confluent's codes")
    func errors() async throws {
        try await RunningRegistry.withFolder { folder in
            try await RunningRegistry.run(in: folder) { client in
                _ = try await client.call("POST", "/subjects/s/versions", ["schema": Self.schema])
                let incompatible = Self.schema.replacing("string", with: "int")
                let cases: [(method: String, path: String, body: [String: Any]?, status: Int, code: Int)] = [
                    ("GET", "/subjects/x/versions", nil, 404, 40401),
                    ("GET", "/subjects/s/versions/2", nil, 404, 40402),
                    ("GET", "/subjects/s/versions/0", nil, 422, 42202),
                    ("GET", "/schemas/ids/9", nil, 404, 40403),
                    ("GET", "/config/s", nil, 404, 40408),
                    ("PUT", "/config", ["compatibility": "UP"], 422, 42203),
                    ("POST", "/subjects/s/versions", ["schema": "{"], 422, 42201),
                    ("POST", "/subjects/s/versions", ["schema": incompatible], 409, 409),
                    ("POST", "/subjects/s/versions", ["schema": 7], 400, 400),
                    ("DELETE", "/subjects/s/versions/1?permanent=true", nil, 404, 40407),
                    ("GET", "/associations/resources/-/topic", nil, 404, 404),
                ]
                for expected in cases {
                    let answer = try await client.call(expected.method, expected.path, expected.body)
                    #expect(answer.status == expected.status, "\(expected.method) \(expected.path)")
                    #expect(answer["error_code"] as? Int == expected.code, "\(expected.method) \(expected.path)")
                }
            }
        }
    }

    @Test("media types that are not spoken are refused")
    func mediaTypes() async throws {
        try await RunningRegistry.withFolder { folder in
            try await RunningRegistry.run(in: folder) { client in
                let body = ["schema": Self.schema]
                let form = try await client.call(
                    "POST", "/subjects/s/versions", body, type: "application/x-www-form-urlencoded")
                #expect(form.status == 415)
                let page = try await client.call("GET", "/subjects", accept: "text/html")
                #expect(page.status == 406)
                let plain = try await client.call(
                    "POST", "/subjects/s/versions", body, type: "application/json; charset=utf-8",
                    accept: "text/html, application/json;q=0.8")
                #expect(plain.status == 200)
            }
        }
    }

    @Test("a port that is taken is reported to whoever waits for it")
    func portTaken() async throws {
        try await RunningRegistry.withFolder { folder in
            try await RunningRegistry.run(in: folder) { client in
                let database = try DatabasePool(path: folder.appendingPathComponent("second.sqlite").path)
                let second = try LocalRegistry(
                    database: database, host: "127.0.0.1", port: client.port,
                    logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
                async let port = second.boundPort()
                await #expect(throws: (any Error).self) { try await second.run() }
                do {
                    let bound = try await port
                    Issue.record("bound to \(bound)")
                } catch {
                    #expect("\(error)".contains("unavailable"), "\(error)")
                }
            }
        }
    }
}
