import NIOCore
import OrchestraCore
import SeededRandom
import Testing

@testable import Gateway

@Suite struct TriggerRequestTests {
    private func parse(_ json: String) throws(JSONProblem) -> TriggerRequest {
        try TriggerRequest(json: Array(json.utf8))
    }

    private func problem(_ json: [UInt8]) -> JSONProblem? {
        do throws(JSONProblem) {
            _ = try TriggerRequest(json: json)
            return nil
        } catch {
            return error
        }
    }

    @Test(arguments: [
        (#"{"workflow":"w","input":"i"}"#, "i"),
        (#" { "input" : "" , "workflow" : "w" } "#, ""),
        ("\u{FEFF}{\"workflow\":\"w\",\r\n\t\"input\":\"bom\"}", "bom"),
        (
            #"{"workflow":"w","input":"\u0000\"\\\/\b\f\n\r\t\u00e9\uD83C\uDFBB\ud83c\udfbb"}"#,
            "\0\"\\/\u{08}\u{0C}\n\r\té🎻🎻"
        ),
        (#"{"\u0077orkflow":"w","input":"naïve 🎻 text"}"#, "naïve 🎻 text"),
    ])
    func readsWhatJSONAllows(json: String, input: String) throws {
        let request = try parse(json)
        #expect(request.workflow == "w")
        #expect(Array(request.input.utf8) == Array(input.utf8))
    }

    @Test(
        arguments: [
            ("", "empty", 1, 1), ("   ", "empty", 1, 4),
            ("[]", "expected an object", 1, 1), ("null", "expected an object", 1, 1), ("\"x\"", "not a string", 1, 1),
            ("{", "field name", 1, 2), (#"{"workflow""#, "\":\"", 1, 12),
            (#"{"workflow":"#, "not the end of the body", 1, 13),
            (#"{"workflow":"w" "input":"i"}"#, "\",\" or \"}\"", 1, 17),
            (#"{"workflow":"w","input":"i",}"#, "field name", 1, 29),
            (#"{"workflow":"w","input":"i"} x"#, "nothing after the object", 1, 30),
            (#"{"workflow":"w","input":3}"#, "\"input\" must be a string, not a number", 1, 25),
            (#"{"workflow":"w","input":null}"#, "must be a string, not null", 1, 25),
            (#"{"workflow":["w"],"input":"i"}"#, "must be a string, not an array", 1, 13),
            (#"{"workflow":true,"input":"i"}"#, "must be a string, not a boolean", 1, 13),
            (#"{"workflow":{},"input":"i"}"#, "must be a string, not an object", 1, 13),
            ("{\"workflow\":\"w\",\n  \"inputs\":\"i\"}", "unknown field \"inputs\"", 2, 3),
            (#"{"workflow":"w","workflow":"w"}"#, "given twice", 1, 17),
            ("{\"workflow\":\"w\",\"input\":\"a\nb\"}", "control character", 1, 27),
            (#"{"workflow":"w","input":"unterminated"#, "does not end", 1, 25),
            (#"{"workflow":"w","input":"\x"}"#, "escape that JSON does not have", 1, 26),
            (#"{"workflow":"w","input":"\u12g4"}"#, "four hexadecimal digits", 1, 30),
            (#"{"workflow":"w","input":"\uD800"}"#, "surrogate", 1, 26),
            (#"{"workflow":"w","input":"\uDC00"}"#, "surrogate", 1, 26),
            (#"{"workflow":"w","input":"\uD83C\u0041"}"#, "surrogate", 1, 26),
        ] as [(String, String, Int, Int)])
    func saysWhatIsWrongAndWhere(json: String, reason: String, line: Int, column: Int) throws {
        let found = problem(Array(json.utf8))
        let problem = try #require(found, "\(json) was accepted")
        #expect(problem.reason.contains(reason), "\(problem.reason)")
        let place = try #require(problem.place)
        #expect((place.line, place.column) == (line, column), "\(problem.description)")
    }

    @Test(arguments: [("{}", "workflow"), (#"{"workflow":"w"}"#, "input"), (#"{"input":"i"}"#, "workflow")])
    func namesMissingFields(json: String, field: String) {
        #expect(problem(Array(json.utf8))?.reason.contains("\"\(field)\" is missing") == true)
    }

    @Test func refusesBytesThatAreNotUTF8AndSaysWhich() throws {
        let head = Array(#"{"workflow":"w","input":"é"#.utf8)
        let found = problem(head + [0xFF, 0xFE] + Array("\"}".utf8))
        let problem = try #require(found)
        #expect(problem.reason.contains("UTF-8"))
        #expect(problem.place?.byte == head.count)
        #expect(self.problem(head + [0xED, 0xA0, 0x80] + Array("\"}".utf8))?.reason.contains("UTF-8") == true)
    }

    /// 30,000 mutated bodies are read or refused; what is read, written and read again is the same.
    @Test func mutatedBodiesNeverTrap() throws {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededGenerator(seed: seed)
        let sample = Array(#"{"workflow":"summarize","input":"a\u0041\uD83C\uDFBB\n é"}"#.utf8)
        var read = 0
        for _ in 0..<30_000 {
            var bytes = sample
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let place = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes.remove(at: place)
                case 2: bytes.removeSubrange(place..<min(bytes.count, place + 8))
                default: bytes.insert(sample.randomElement(using: &random) ?? 0, at: place)
                }
                if bytes.isEmpty { bytes = [0x7B] }
            }
            guard let request = try? TriggerRequest(json: bytes) else { continue }
            read += 1
            let again = JSONOutput.object([
                ("workflow", .string(request.workflow)), ("input", .string(request.input)),
            ]).encoded()
            let second = try TriggerRequest(json: again)
            #expect(second == request, "seed \(seed)")
        }
        #expect(read > 1000, "seed \(seed): hardly any mutation was readable")
    }
}
