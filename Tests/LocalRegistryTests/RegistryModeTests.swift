import Testing

@testable import LocalRegistry

@Suite("RegistryMode")
struct RegistryModeTests {
    @Test("who may register and change", arguments: RegistryMode.allCases)
    func permissions(mode: RegistryMode) {
        func isAllowed(_ body: () throws -> Void) -> Bool { (try? body()) != nil }
        #expect(isAllowed { try mode.expectWritable("s") } == [.readWrite, .import].contains(mode))
        #expect(isAllowed { try mode.expectRegistration(of: "s", namesID: false) } == (mode == .readWrite))
        #expect(isAllowed { try mode.expectRegistration(of: "s", namesID: true) } == (mode == .import))
    }

    @Test("a refusal is 42205 and names the subject", arguments: RegistryMode.allCases)
    func refusal(mode: RegistryMode) {
        let error = #expect(throws: RegistryError.self) {
            try mode.expectRegistration(of: "orders", namesID: mode == .readWrite)
        }
        guard mode != .import || error != nil else { return }
        #expect(error?.code == 42205)
        #expect(error?.message.contains("'orders'") == true)
    }
}
