import Avro
import Foundation
import OrchestraCore
import Testing

@Suite struct SchemaGeneratorTests {
    private func generate(_ text: String) throws -> String {
        let files = [SchemaGenerator.SchemaFile(path: "Schemas/R.avsc", text: text)]
        return try SchemaGenerator.generate(files)["R.swift"] ?? ""
    }

    private func refusal(_ files: [(String, String)]) -> String? {
        do throws(OrchestraError) {
            _ = try SchemaGenerator.generate(files.map { SchemaGenerator.SchemaFile(path: $0.0, text: $0.1) })
            return nil
        } catch {
            return error.message
        }
    }

    @Test func committedRecordsAreCurrent() throws {
        let folder = Oracle.projectFolder.path
        let differences = try SchemaGenerator.check(schemas: folder + "/Schemas", output: folder + "/Sources/Records")
        #expect(differences == [], "run `orchestra schemas generate`")
    }

    @Test func checkTellsWhatDiffers() throws {
        let file = SchemaGenerator.SchemaFile(path: "A.avsc", text: #"{"type": "record", "name": "A", "fields": []}"#)
        let text = try #require(try SchemaGenerator.generate([file])["A.swift"])
        #expect(try SchemaGenerator.check([file], against: ["A.swift": text, "Mine.swift": "struct Mine {}"]) == [])
        #expect(try SchemaGenerator.check([file], against: [:]) == [.missing("A.swift")])
        #expect(try SchemaGenerator.check([file], against: ["A.swift": text + " "]) == [.outdated("A.swift")])
        #expect(
            try SchemaGenerator.check([file], against: ["A.swift": text, "B.swift": text]) == [.leftOver("B.swift")])
    }

    @Test func writesAndRemovesFiles() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("schemas-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        let schemas = folder.appendingPathComponent("in/deep")
        try FileManager.default.createDirectory(at: schemas, withIntermediateDirectories: true)
        let schema = schemas.appendingPathComponent("A.avsc")
        try #"{"type": "record", "name": "A", "fields": []}"#.write(to: schema, atomically: true, encoding: .utf8)
        let (input, output) = (folder.path + "/in", folder.path + "/out")
        #expect(try SchemaGenerator.generate(schemas: input, into: output) == ["A.swift"])
        #expect(try SchemaGenerator.generate(schemas: input, into: output) == [])
        #expect(try SchemaGenerator.check(schemas: input, output: output) == [])
        try FileManager.default.moveItem(at: schema, to: schemas.appendingPathComponent("B.avsc"))
        #expect(try SchemaGenerator.generate(schemas: input, into: output) == ["A.swift", "B.swift"])
        #expect(try FileManager.default.contentsOfDirectory(atPath: output) == ["B.swift"])
    }

    @Test func everyKindOfField() throws {
        let text = try generate(
            #"""
            {"type": "record", "name": "R", "namespace": "n", "doc": "What it is.\nSecond line.", "fields": [
                {"name": "self", "type": "boolean", "default": false},
                {"name": "reader", "type": ["int", "null"], "default": -4},
                {"name": "value", "type": {"type": "map", "values": ["null", {"type": "array", "items": "bytes"}]}, "default": {"k\n": null}},
                {"name": "f", "type": {"type": "fixed", "name": "F", "size": 2}, "default": "\u0001\u00ff"},
                {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["default", "other"]}, "default": "default", "doc": "Kind."},
                {"name": "i", "type": {"type": "record", "name": "I", "fields": [{"name": "x", "type": "double", "default": 1}]}, "default": {}},
                {"name": "t", "type": {"type": "long", "logicalType": "timestamp-millis"}, "default": 12},
                {"name": "d", "type": {"type": "int", "logicalType": "date"}},
                {"name": "children", "type": {"type": "array", "items": "R"}, "default": []}
            ]}
            """#)
        for line in [
            "/// What it is.\n/// Second line.\npublic struct R: AvroRecord {",
            "    public static let avroName = \"n.R\"\n",
            "        `self`: Bool = false,\n",
            "        reader: Int32? = -4,\n",
            "        value: [String: [[UInt8]]?] = [\"k\\u{a}\": nil],\n",
            "        f: [UInt8] = [1, 255],\n",
            "        e: E = .`default`,\n",
            "        i: I = I(x: 1.0),\n",
            "        t: Timestamp = Timestamp(millisecondsSinceEpoch: 12),\n",
            "        d: Int32,\n",
            "        children: [R] = []\n",
            "        self.reader = try reader.readOptional(nullBranch: 1)",
            "    /// Kind.\n    public var e: E\n",
            "public enum E: String, AvroSerializable, CaseIterable, Codable {\n    case `default`\n    case other\n",
        ] {
            #expect(text.contains(line), "\(line)\nis not in\n\(text)")
        }
    }

    @Test func refusals() {
        func record(_ type: String) -> String {
            #"{"type": "record", "name": "R", "fields": [{"name": "a", "type": \#(type)}]}"#
        }
        let cases: [(String, String)] = [
            (
                record(#"["int", "string"]"#),
                "Schemas/R.avsc: field \"a\" of R: the union [int, string] is not supported"
            ),
            (record(#"["null", "int", "string"]"#), "is not supported by the generator"),
            (record(#""null""#), "null alone"),
            (record(#"["null", "R"]"#), "contains itself"),
            (record(#"{"type": "record", "name": "String", "fields": []}"#), "would hide Swift's String"),
            (#""int""#, "needs a record at the top"),
            ("{", "line 1"),
        ]
        for (text, words) in cases {
            let message = refusal([("Schemas/R.avsc", text)])
            #expect(message?.contains(words) == true, "\(text): \(message ?? "accepted")")
        }
        let a = #"{"type": "record", "name": "n.A", "fields": []}"#
        #expect(refusal([("x/A.avsc", a), ("y/A.avsc", a)])?.contains("would both become A.swift") == true)
        let b = #"{"type": "record", "name": "m.A", "fields": []}"#
        #expect(refusal([("A.avsc", a), ("B.avsc", b)])?.contains("would both become the Swift type A") == true)
    }

    /// A type that two files define in the same way is written once.
    @Test func sharedTypes() throws {
        func file(_ name: String, _ symbols: String) -> SchemaGenerator.SchemaFile {
            SchemaGenerator.SchemaFile(
                path: "\(name).avsc",
                text:
                    #"{"type": "record", "name": "\#(name)", "fields": [{"name": "e", "type": {"type": "enum", "name": "E", "symbols": [\#(symbols)]}}]}"#
            )
        }
        let texts = try SchemaGenerator.generate([file("B", "\"X\""), file("A", "\"X\"")])
        #expect(texts["A.swift"]?.contains("public enum E") == true)
        #expect(texts["B.swift"]?.contains("public enum E") == false)
        #expect(throws: OrchestraError.self) { try SchemaGenerator.generate([file("A", "\"X\""), file("B", "\"Y\"")]) }
    }
}
