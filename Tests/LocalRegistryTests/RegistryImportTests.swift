import Foundation
import GRDB
import Testing

@testable import LocalRegistry

/// Where an import can lead, and databases of earlier versions.
@Suite struct RegistryImportTests {
    private func record(_ name: String, _ fields: String = "") -> String {
        #"{"type":"record","name":"\#(name)","fields":[\#(fields)]}"#
    }

    @Test("an import may use up ids and version numbers; what follows is refused")
    func lastNumbers() async throws {
        try await RunningRegistry.withFolder { folder in
            try await RunningRegistry.run(in: folder) { client in
                _ = try await client.call("PUT", "/mode/s", ["mode": "IMPORT"])
                let path = "/subjects/s/versions"
                let last = try await client.call(
                    "POST", path, ["schema": record("A"), "id": Int(Int32.max), "version": Int(Int32.max)])
                #expect(last.status == 200)
                let next = try await client.call("POST", path, ["schema": record("B"), "id": 5])
                #expect(next["error_code"] as? Int == 42201)
                let beyond = try await client.call("POST", path, ["schema": record("B"), "id": 1 << 31])
                #expect(beyond["error_code"] as? Int == 400)
                _ = try await client.call("PUT", "/mode/s", ["mode": "READWRITE"])
                let none = try await client.call("POST", "/subjects/t/versions", ["schema": record("C")])
                #expect(none["error_code"] as? Int == 50001)
                let known = try await client.call("POST", "/subjects/t/versions", ["schema": record("A")])
                #expect(known["id"] as? Int == Int(Int32.max))
                let versions = try await client.call("GET", path)
                #expect(versions.body as? [Int] == [Int(Int32.max)])
            }
        }
    }

    @Test("the id of a schema that is gone for good is free for an import")
    func freedID() async throws {
        try await RunningRegistry.withFolder { folder in
            try await RunningRegistry.run(in: folder) { client in
                let a = record("A", #"{"name":"x","type":"int"}"#)
                _ = try await client.call("POST", "/subjects/s/versions", ["schema": a])
                _ = try await client.call("DELETE", "/subjects/s")
                #expect(try await client.call("PUT", "/mode", ["mode": "IMPORT"]).status == 200)
                #expect(try await client.call("GET", "/schemas/ids/1").status == 404)
                let imported = try await client.call(
                    "POST", "/subjects/s/versions", ["schema": record("B"), "id": 1])
                #expect(imported["id"] as? Int == 1)
                let found = try await client.call("GET", "/schemas/ids/1")
                #expect(found["schema"] as? String == record("B"))
            }
        }
    }

    @Test("a database of the first version is taken over")
    func migration() async throws {
        let spelled = #"{"name": "R", "type": "record", "fields": [{"name": "a", "type": "int"}]}"#
        try await RunningRegistry.withFolder { folder in
            let path = folder.appendingPathComponent("registry.sqlite").path
            let database = try DatabasePool(path: path)
            try RegistryTables.migrator.migrate(database, upTo: "registry-1")
            try await database.write { database in
                try database.execute(
                    sql: """
                        INSERT INTO registry_schema (id, fingerprint, identity, text) VALUES (4, 0, 'old', ?);
                        INSERT INTO registry_version (subject, version, schema_id) VALUES ('s', 3, 4);
                        """, arguments: [spelled])
            }
            try database.close()
            try await RunningRegistry.run(in: folder) { client in
                let schema = record("R", #"{"name":"a","type":"int"}"#)
                let again = try await client.call("POST", "/subjects/s/versions", ["schema": schema])
                #expect(again["id"] as? Int == 4)
                let found = try await client.call("GET", "/subjects/s/versions/3")
                #expect(found["schema"] as? String == spelled)
            }
        }
    }
}
