import OrchestraCore
import Testing

@Suite struct GrainIDTests {
    @Test func readsBackWhatItWrites() throws {
        for key in ["a", "a/b/c", "with space", "ключ", String(repeating: "k", count: 512)] {
            let id = try GrainID(type: "workflow", key: key)
            #expect(try GrainID(parsing: id.description) == id)
        }
    }

    @Test(arguments: ["", String(repeating: "k", count: 513), "nul\0inside", String(repeating: "é", count: 257)])
    func refusesBadKeys(key: String) {
        let error = #expect(throws: OrchestraError.self) { try GrainID(type: "workflow", key: key) }
        #expect(error?.code == .invalidArgument)
    }

    @Test(arguments: ["", "with space", "ключ", "a/b", String(repeating: "t", count: 101)])
    func refusesBadTypes(name: String) {
        let error = #expect(throws: OrchestraError.self) { try GrainType(name) }
        #expect(error?.code == .invalidArgument)
    }

    @Test(arguments: ["", "noslash", "/key", "type/"])
    func refusesBadText(text: String) {
        #expect(throws: OrchestraError.self) { try GrainID(parsing: text) }
    }
}
