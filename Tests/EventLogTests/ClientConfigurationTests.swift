import Testing

@testable import EventLog

struct ClientConfigurationTests {
    private func failure(_ properties: [String: String], servers: String = "127.0.0.1:1") -> EventLogError? {
        let configuration = KafkaConfiguration(bootstrapServers: servers, clientID: "c", properties: properties)
        return #expect(throws: EventLogError.self) { _ = try Producer(configuration, logger: quiet) }
    }

    @Test func unknownPropertiesAreNamed() {
        let error = failure(["linger.sm": "5"])
        #expect(error?.kind == .badConfiguration)
        #expect(error?.message.contains("linger.sm") == true)
    }

    @Test func badValuesAreShownWithLibrdkafkasWords() {
        let error = failure(["security.protocol": "secure"])
        #expect(error?.kind == .badConfiguration)
        #expect(error?.message.contains("security.protocol") == true)
        #expect(error?.message.contains("\"secure\"") == true)
    }

    @Test func reservedPropertiesAreRefusedWithTheReason() {
        let error = failure(["acks": "1"])
        #expect(error?.message.contains("acks") == true)
        #expect(error?.message.contains("all replicas") == true)
    }

    @Test func secretsAreNotShown() {
        let error = failure(["ssl.key.password": "hunter2", "sasl.kerberos.min.time.before.relogin": "x"])
        #expect(error?.description.contains("hunter2") == false)
    }

    @Test func emptyAddressesAreRefused() {
        #expect(failure([:], servers: " ")?.kind == .badConfiguration)
    }
}
