import Avro
import Testing

@testable import LocalRegistry

@Suite("CompatibilityLevel")
struct CompatibilityLevelTests {
    func schema(_ fields: String) throws -> AvroSchema {
        try AvroSchema(parsing: #"{"type":"record","name":"R","fields":[\#(fields)]}"#)
    }

    let a = #"{"name":"a","type":"string"}"#
    let b = #"{"name":"b","type":"int"}"#
    let bWithDefault = #"{"name":"b","type":"int","default":0}"#

    @Test("a level compares in its direction: BACKWARD reads old data, FORWARD is read by old readers")
    func directions() throws {
        let (old, new) = (try schema(a), try schema(a + "," + b))
        let after = [(version: Int32(1), schema: old)]
        #expect(!CompatibilityLevel.backward.objections(to: new, after: after).isEmpty)
        #expect(CompatibilityLevel.forward.objections(to: new, after: after).isEmpty)
        #expect(!CompatibilityLevel.full.objections(to: new, after: after).isEmpty)
        #expect(CompatibilityLevel.none.objections(to: new, after: after).isEmpty)
        let back = [(version: Int32(1), schema: new)]
        #expect(CompatibilityLevel.backward.objections(to: old, after: back).isEmpty)
        #expect(!CompatibilityLevel.forward.objections(to: old, after: back).isEmpty)
    }

    @Test("only transitive levels look behind the latest version")
    func transitive() throws {
        let versions = [
            (version: Int32(1), schema: try schema(a)), (version: Int32(2), schema: try schema(a + "," + bWithDefault)),
        ]
        let new = try schema(a + "," + b)
        #expect(CompatibilityLevel.backward.objections(to: new, after: versions).isEmpty)
        let objections = CompatibilityLevel.backwardTransitive.objections(to: new, after: versions)
        #expect(objections.contains("{oldSchemaVersion: 1}"), "\(objections)")
    }

    @Test("a first schema fits", arguments: CompatibilityLevel.allCases)
    func first(level: CompatibilityLevel) throws {
        #expect(level.objections(to: try schema(a), after: []).isEmpty)
    }
}
