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

    @Test("a decimal's precision and scale say what its bytes mean")
    func decimals() throws {
        func decimal(_ attributes: String) -> String { #"{"type":"bytes","logicalType":"decimal",\#(attributes)}"# }
        let texts = [
            #""precision":9,"scale":2"#, #""precision":9,"scale":3"#, #""precision":8,"scale":2"#, #""precision":9"#,
        ]
        #expect(Set(try texts.map { try identity(decimal($0)) }).count == 4)
        #expect(try identity(decimal(texts[3])) == identity(decimal(#""scale":0,"precision":9"#)))
    }

    @Test("a schema that refers to another says the same as one that contains it")
    func references() throws {
        let address = #"{"type":"record","name":"n.B","fields":[{"name":"x","type":"int","default":7}]}"#
        let unused = #"{"type":"enum","name":"n.E","symbols":["A"],"default":"A"}"#
        let text = #"{"type":"record","name":"n.A","fields":[{"name":"b","type":"n.B"}]}"#
        let referring = SchemaIdentity(try AvroSchema(parsing: text, referenced: [unused, address]))
        #expect(referring == (try identity(text.replacing(#""n.B""#, with: address))))
        let other = address.replacing("7", with: "8")
        #expect(referring != SchemaIdentity(try AvroSchema(parsing: text, referenced: [other])))
    }

    @Test("what looks alike in another place matters")
    func places() throws {
        func fields(_ one: String, _ two: String) -> String {
            #"{"type":"record","name":"R","fields":[{"name":"a","type":\#(one)},{"name":"b","type":\#(two)}]}"#
        }
        let (date, int) = (#"{"type":"int","logicalType":"date"}"#, #""int""#)
        #expect(try identity(fields(date, int)) != identity(fields(int, date)))
        let quoted = #"{"type":"int","logicalType":"\")\n(\""}"#
        #expect(try identity(fields(quoted, int)) != identity(fields(int, quoted)))
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
            #"{"type":"record","name":"R","namespace":"n","fields":[{"name":"a","type":["int"]}]}"#,
        ])
    func different(text: String) throws {
        #expect(try identity(text) != identity(Self.plain))
    }
}
