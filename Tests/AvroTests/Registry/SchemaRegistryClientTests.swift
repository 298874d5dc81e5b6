import Avro
import HTTPClient
import OrchestraCore
import Testing

@Suite(.timeLimit(.minutes(1))) struct SchemaRegistryClientTests {
    private static let schema = #"{"type": "record", "name": "R", "fields": []}"#

    @Test func registersOnce() async throws {
        let registry = try ScriptedRegistry()
        let client = registry.client
        let schema = try AvroSchema(parsing: Self.schema)
        try await withThrowingTaskGroup(of: Int32.self) { group in
            for _ in 0..<50 {
                group.addTask { try await client.register(subject: "my topic/ä-value", schema: schema) }
            }
            for try await id in group { #expect(id == 1) }
        }
        #expect(try await client.schema(id: 1) == schema)
        let request = try #require(registry.server.requests.first)
        #expect(registry.server.requests.count == 1)
        #expect(request.target == "/subjects/my%20topic%2F%C3%A4-value/versions")
        #expect(request.headers["authorization"] == "Basic bWU6cDp3")
        #expect(request.headers["content-type"] == "application/vnd.schemaregistry.v1+json")
        await registry.close()
    }

    @Test func asksForEachSchemaOnce() async throws {
        let registry = try ScriptedRegistry()
        let client = registry.client
        let id = registry.add(Self.schema)
        try await withThrowingTaskGroup(of: String.self) { group in
            for _ in 0..<50 { group.addTask { try await client.schema(id: id).text } }
            for try await text in group { #expect(text == Self.schema) }
        }
        #expect(registry.server.requests.count == 1)
        await registry.close()
    }

    @Test(arguments: [[500, 503], [429], [0, 0], [408]])
    func triesAgain(_ failures: [Int]) async throws {
        let registry = try ScriptedRegistry()
        registry.fail(with: failures)
        let schema = try AvroSchema(parsing: Self.schema)
        #expect(try await registry.client.register(subject: "s", schema: schema) == 1)
        #expect(registry.server.requests.count == failures.count + 1)
        await registry.close()
    }

    @Test func givesUp() async throws {
        let registry = try ScriptedRegistry()
        registry.fail(with: [500, 500, 500])
        let schema = try AvroSchema(parsing: Self.schema)
        let error = await #expect(throws: OrchestraError.self) {
            try await registry.client.register(subject: "s", schema: schema)
        }
        #expect(error?.code == .unavailable)
        #expect(error?.message.contains("as told") == true)
        await registry.close()
    }

    @Test(arguments: [
        (409, OrchestraError.Code.conflict), (422, .invalidArgument), (401, .badConfiguration), (404, .notFound),
    ])
    func passesTheRegistrysWordsOn(status: Int, code: OrchestraError.Code) async throws {
        let registry = try ScriptedRegistry()
        registry.fail(with: [status])
        let schema = try AvroSchema(parsing: Self.schema)
        let error = await #expect(throws: OrchestraError.self) {
            try await registry.client.register(subject: "s", schema: schema)
        }
        #expect(error?.code == code)
        #expect(error?.message.contains("register R as s: the schema registry says: as told (\(status))") == true)
        #expect(registry.server.requests.count == 1)
        await registry.close()
    }

    @Test func remembersUnknownIDsOnlyBriefly() async throws {
        let registry = try ScriptedRegistry()
        let client = registry.client
        for _ in 0..<3 {
            let error = await #expect(throws: OrchestraError.self) { try await client.schema(id: 1) }
            #expect(error?.code == .notFound)
        }
        #expect(registry.server.requests.count == 1)
        let forgetful = registry.client(unknownIDLifetime: .zero)
        await #expect(throws: OrchestraError.self) { try await forgetful.schema(id: 1) }
        let id = registry.add(Self.schema)
        #expect(try await forgetful.schema(id: id).name == "R")
        await registry.close()
    }

    @Test func readsSubjects() async throws {
        let registry = try ScriptedRegistry()
        let client = registry.client
        let schema = try AvroSchema(parsing: Self.schema)
        #expect(try await client.find(subject: "s", schema: schema) == nil)
        let error = await #expect(throws: OrchestraError.self) { try await client.latest(subject: "s") }
        #expect(error?.code == .notFound)
        let id = try await client.register(subject: "s", schema: schema)
        let version = SchemaRegistryClient.SubjectVersion(subject: "s", version: 1, id: id, schema: schema)
        #expect(try await client.latest(subject: "s") == version)
        #expect(try await client.find(subject: "s", schema: schema) == version)
        let verdict = try await client.checkCompatibility(subject: "s", schema: schema)
        #expect(verdict == SchemaRegistryClient.Compatibility(isCompatible: false, messages: ["one", "two"]))
        // A subject that does not exist accepts every schema.
        #expect(try await client.checkCompatibility(subject: "other", schema: schema).isCompatible)
        await registry.close()
    }

    @Test func unreachable() async throws {
        let registry = try ScriptedRegistry()
        let client = registry.client
        registry.server.stop()
        let error = await #expect(throws: OrchestraError.self) { try await client.schema(id: 1) }
        #expect(error?.code == .unavailable)
        #expect(error?.nextStep?.contains(registry.server.url) == true)
        await registry.close()
    }

    @Test(arguments: ["", "[]", #"{"id": "x"}"#, "<html>"])
    func strangeAnswers(_ body: String) async throws {
        let server = try ScriptedServer { _, connection in
            connection.respond(200, body)
            return true
        }
        let http = HTTPClient()
        let client = SchemaRegistryClient(url: server.url, http: http)
        let schema = try AvroSchema(parsing: Self.schema)
        let error = await #expect(throws: OrchestraError.self) {
            try await client.register(subject: "s", schema: schema)
        }
        #expect(error?.message.contains("not one of a schema registry") == true)
        await #expect(throws: OrchestraError.self) { try await client.schema(id: 1) }
        await http.close()
        server.stop()
    }

    @Test(arguments: [
        (#"{"schema": "{}", "schemaType": "JSON"}"#, "of type JSON"),
        (#"{"schema": "\"int\"", "references": [{"name": "a"}]}"#, "not one of a schema registry"),
        (#"{"schema": "{\"type\": \"record\"}"}"#, "is not valid"),
    ])
    func schemasThatCannotBeRead(body: String, words: String) async throws {
        let server = try ScriptedServer { _, connection in
            connection.respond(200, body)
            return true
        }
        let http = HTTPClient()
        let error = await #expect(throws: OrchestraError.self) {
            try await SchemaRegistryClient(url: server.url, http: http).schema(id: 1)
        }
        #expect(error?.message.contains(words) == true)
        await http.close()
        server.stop()
    }

    /// When the caller that does the work is cancelled, another takes over.
    @Test func cancelledLeader() async throws {
        let flight = SingleFlightProbe()
        try await flight.check()
    }
}
