import Avro
import Testing

@testable import LocalRegistry

@Suite("SchemaIdentity")
struct SchemaIdentityTests {
    static let plain = #"{"type":"record","name":"R","namespace":"n","fields":[{"name":"a","type":"int"}]}"#

    func identity(_ text: String) throws -> SchemaIdentity { SchemaIdentity(try AvroSchema(parsing: text)) }

    @Test(
        "spelling does not matter",
        arguments: [
            #"{ "fields": [{"type": {"type": "int"}, "name": "a"}], "name": "n.R", "type": "record" }"#,
            #"{"type":"record","name":"R","namespace":"n","doc":"d","fields":[{"name":"a","type":"int","doc":"x"}]}"#,
            #"{"type":"record","name":"R","namespace":"n","owner":"me","fields":[{"name":"a","type":"int"}]}"#,
        ])
    func same(text: String) throws {
        #expect(try identity(text) == identity(Self.plain))
    }

    @Test(
        "what changes how data is read matters",
        arguments: [
            #"{"type":"record","name":"R","namespace":"n","fields":[{"name":"a","type":"int","default":0}]}"#,
            #"{"type":"record","name":"R","namespace":"n","fields":[{"name":"a","type":"int","aliases":["b"]}]}"#,
            #"{"type":"record","name":"R","namespace":"n","aliases":["S"],"fields":[{"name":"a","type":"int"}]}"#,
            #"{"type":"record","name":"R","namespace":"m","fields":[{"name":"a","type":"int"}]}"#,
            #"{"type":"record","name":"R","namespace":"n","fields":[{"name":"a","type":"long"}]}"#,
            """
            {"type":"record","name":"R","namespace":"n",
             "fields":[{"name":"a","type":{"type":"int","logicalType":"date"}}]}
            """,
        ])
    func different(text: String) throws {
        #expect(try identity(text) != identity(Self.plain))
    }
}
