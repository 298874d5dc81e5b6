import Avro
import HTTPClient
import OrchestraCore
import Testing

/// Schemas that use the types of other schemas.
@Suite(.timeLimit(.minutes(1))) struct SchemaReferencesTests {
    static let address = #"{"type":"record","name":"a.Address","fields":[{"name":"street","type":"string"}]}"#
    static let person =
        #"{"type":"record","name":"Person","namespace":"p","fields":[{"name":"home","type":"a.Address"}]}"#

    @Test func typesAreFoundByTheirFullNames() throws {
        let schema = try AvroSchema(parsing: Self.person, referenced: [Self.address])
        #expect(schema.text == Self.person)
        #expect(
            schema.canonicalForm == #"{"name":"p.Person","type":"record","fields":[{"name":"home","type":"#
                + #"{"name":"a.Address","type":"record","fields":[{"name":"street","type":"string"}]}}]}"#)
        let value = AvroValue.record([
            .init(name: "home", value: .record([.init(name: "street", value: .string("x"))]))
        ])
        #expect(try schema.decode(schema.encode(value)) == value)
    }

    @Test func theSameTextWithOtherReferencesIsAnotherSchema() throws {
        let other = Self.address.replacing("string", with: "bytes")
        #expect(
            try AvroSchema(parsing: Self.person, referenced: [Self.address])
                != AvroSchema(parsing: Self.person, referenced: [other]))
    }

    @Test(arguments: [
        ([], "\"a.Address\" is not defined"),
        ([address, address], "\"a.Address\" is defined twice"),
        ([person, address], "in a referenced schema"),
        (["{"], "in a referenced schema"),
        ([#""int""#], "\"a.Address\" is not defined"),
        ([address + String(repeating: " ", count: AvroSchema.maximumTextSize)], "what it refers to"),
    ])
    func mistakes(referenced: [String], words: String) {
        let error = #expect(throws: AvroError.self) { try AvroSchema(parsing: Self.person, referenced: referenced) }
        #expect(error?.code == .invalidSchema)
        #expect(error?.message.contains(words) == true, "\(String(describing: error))")
    }

    /// A chain of schemas that each use the last one nests deeper than one text could.
    @Test func depthIsBounded() throws {
        let texts = (0..<40).map { link in
            let type = link == 0 ? #""int""# : #"{"type":"array","items":"R\#(link - 1)"}"#
            return #"{"type":"record","name":"R\#(link)","fields":[{"name":"a","type":\#(type)}]}"#
        }
        _ = try AvroSchema(parsing: texts[20], referenced: Array(texts[..<20]))
        let error = #expect(throws: AvroError.self) {
            try AvroSchema(parsing: texts[39], referenced: Array(texts[..<39]))
        }
        #expect(error?.message.contains("nest deeper") == true, "\(String(describing: error))")
    }

    /// The client asks for what a schema refers to, also for versions that have been deleted since.
    @Test func clientFollowsReferences() async throws {
        let answers = [
            "/schemas/ids/7": Self.answer(Self.person, [("a b", 2)]),
            "/subjects/a%20b/versions/2?deleted=true": Self.answer(Self.address, []),
        ]
        let server = try ScriptedServer { request, connection in
            connection.respond(answers[request.target] == nil ? 404 : 200, answers[request.target] ?? "{}")
            return true
        }
        let http = HTTPClient()
        let client = SchemaRegistryClient(url: server.url, http: http)
        let schema = try await client.schema(id: 7)
        #expect(schema == (try AvroSchema(parsing: Self.person, referenced: [Self.address])))
        await http.close()
        server.stop()
    }

    /// An answer about references that leads nowhere ends.
    @Test func clientStopsAtEndlessReferences() async throws {
        let server = try ScriptedServer { request, connection in
            let version = request.target.split(separator: "/").last?.split(separator: "?").first.flatMap { Int32($0) }
            connection.respond(200, Self.answer(Self.address, [("a", (version ?? 0) + 1)]))
            return true
        }
        let http = HTTPClient()
        let error = await #expect(throws: OrchestraError.self) {
            try await SchemaRegistryClient(url: server.url, http: http).schema(id: 1)
        }
        #expect(error?.message.contains("refers to more than 256") == true)
        await http.close()
        server.stop()
    }

    private static func answer(_ schema: String, _ references: [(subject: String, version: Int32)]) -> String {
        let list = references.map {
            #"{"name":"a.Address","subject":\#(JSONValue.quoted($0.subject)),"version":\#($0.version)}"#
        }
        return #"{"schema":\#(JSONValue.quoted(schema)),"references":[\#(list.joined(separator: ","))]}"#
    }
}
