import Foundation
import Testing

@testable import Orchestra

/// Precedence of the three sources, and every way in which one of them can be wrong.
@Suite struct ConfigurationTests {
    private func load(
        flags: [ConfigurationFlag] = [], environment: [String: String] = [:], file: String? = nil
    ) throws -> ResolvedConfiguration {
        var layers = [ConfigurationLayer(flags: flags), ConfigurationLayer(environment: environment)]
        if let file { layers.append(try ConfigurationLayer(file: "orchestra.json", json: Data(file.utf8))) }
        return try ResolvedConfiguration(layers: layers, filePath: nil)
    }

    private func problems(
        flags: [ConfigurationFlag] = [], environment: [String: String] = [:], file: String? = nil
    ) -> [String] {
        do {
            _ = try load(flags: flags, environment: environment, file: file)
            return []
        } catch let problems as ConfigurationProblems {
            return problems.messages
        } catch {
            return ["\(error)"]
        }
    }

    // MARK: Precedence

    @Test func defaultsHoldWhenNobodySaysAnything() throws {
        let configuration = try load()
        #expect(configuration[ConfigurationKeys.siloPartitions] == 16)
        #expect(configuration[ConfigurationKeys.dataDirectory] == ".orchestra")
        #expect(configuration[ConfigurationKeys.siloRestoreRate] == 128 << 20)
        #expect(configuration.optional(ConfigurationKeys.kafkaBootstrapServers) == nil)
        #expect(configuration.source(of: ConfigurationKeys.siloPartitions) == "default")
    }

    @Test func flagsWinOverEnvironmentOverFile() throws {
        let flag = ConfigurationFlag(key: "log.level", spelling: "--log-level", text: "error")
        let environment = ["ORCHESTRA_LOG_LEVEL": "debug", "ORCHESTRA_SILO_PARTITIONS": "8", "PATH": "/bin"]
        let file = #"{"log": {"level": "trace", "format": "json"}, "silo": {"partitions": 4}}"#
        let configuration = try load(flags: [flag], environment: environment, file: file)
        #expect(configuration[ConfigurationKeys.logLevel] == "error")
        #expect(configuration.source(of: ConfigurationKeys.logLevel) == "flag --log-level")
        #expect(configuration[ConfigurationKeys.siloPartitions] == 8)
        #expect(
            configuration.source(of: ConfigurationKeys.siloPartitions)
                == "environment variable ORCHESTRA_SILO_PARTITIONS")
        #expect(configuration[ConfigurationKeys.logFormat] == "json")
        #expect(configuration.source(of: ConfigurationKeys.logFormat) == "orchestra.json")
    }

    @Test func theLastOfTwoFlagsWins() throws {
        let flags = ["1", "2"].map { ConfigurationFlag(key: "silo.partitions", spelling: "--set", text: $0) }
        #expect(try load(flags: flags)[ConfigurationKeys.siloPartitions] == 2)
    }

    @Test func dottedAndNestedKeysInAFileMeanTheSame() throws {
        for file in [#"{"kafka.bootstrap.servers": "a:1"}"#, #"{"kafka": {"bootstrap": {"servers": "a:1"}}}"#] {
            #expect(try load(file: file).optional(ConfigurationKeys.kafkaBootstrapServers) == "a:1")
        }
    }

    @Test func propertiesOfLibrdkafkaComeFromEverySource() throws {
        let configuration = try load(
            flags: [.init(key: "kafka.properties.client.rack", spelling: "--set", text: "r1")],
            environment: ["ORCHESTRA_KAFKA_PROPERTIES_SECURITY_PROTOCOL": "SASL_SSL"],
            file:
                #"{"kafka": {"properties": {"sasl.password": "hidden", "linger.ms": 5, "enable.metrics.push": false}}}"#
        )
        #expect(
            configuration.kafkaProperties == [
                "client.rack": "r1", "security.protocol": "SASL_SSL", "sasl.password": "hidden", "linger.ms": "5",
                "enable.metrics.push": "false",
            ])
    }

    // MARK: Secrets

    @Test func secretsAreCoveredWhereverTheyAreShown() throws {
        let configuration = try load(
            environment: [
                "ORCHESTRA_REGISTRY_PASSWORD": "hidden-1", "ORCHESTRA_REGISTRY_URL": "https://me:hidden-2@host:1/x@y",
                "ORCHESTRA_KAFKA_PROPERTIES_SASL_PASSWORD": "hidden-3",
            ])
        let shown = configuration.settings.compactMap(\.displayText)
        #expect(!shown.contains { $0.contains("hidden") })
        #expect(shown.contains("https://(secret)@host:1/x@y"))
        #expect(configuration.optional(ConfigurationKeys.registryPassword) == "hidden-1")
    }

    @Test func aBadSecretIsNotRepeatedInTheError() {
        let messages = problems(file: #"{"registry": {"password": 12345}}"#)
        #expect(messages.count == 1)
        #expect(messages[0].contains("registry.password"))
        #expect(!messages[0].contains("12345"))
    }

    // MARK: Errors

    @Test func anUnknownKeyIsNamedWithItsSourceAndTheNearestOne() {
        let inFile = problems(file: #"{"silo": {"partition": 3}}"#)
        let list = "allowed is what `orchestra config --describe` lists"
        #expect(
            inFile == [
                "unknown key silo.partition (from orchestra.json) with the value \"3\": did you mean silo.partitions? "
                    + list
            ])
        let inFlag = problems(flags: [.init(key: "log.levle", spelling: "--set", text: "info")])
        #expect(
            inFlag == [
                "unknown key log.levle (from flag --set) with the value \"info\": did you mean log.level? " + list
            ])
        let variable = problems(environment: ["ORCHESTRA_LOG_LEVELS": "info"])
        #expect(
            variable == [
                "unknown environment variable ORCHESTRA_LOG_LEVELS with the value \"info\": "
                    + "did you mean ORCHESTRA_LOG_LEVEL? " + list
            ])
        let strange = problems(environment: ["ORCHESTRA_ZZZZZZZZZZZZZZZZ": "1"])
        #expect(
            strange == ["unknown environment variable ORCHESTRA_ZZZZZZZZZZZZZZZZ with the value \"1\": " + list])
        let secret = problems(environment: ["ORCHESTRA_REGISTRY_PASWORD": "hidden", "ORCHESTRA_API_TOKEN": "hidden"])
        #expect(secret.count == 2 && !secret.contains { $0.contains("hidden") }, "\(secret)")
    }

    @Test func theVariableThatNamesTheFileIsKnown() {
        #expect(problems(environment: ["ORCHESTRA_CONFIG": "x.json"]) == [])
    }

    @Test(arguments: [
        ("silo.partitions", "0", "an integer from 1 to 1024"), ("silo.partitions", "many", "an integer"),
        ("silo.partitions", "", "an integer"), ("log.level", "loud", "one of trace, debug"),
        ("gateway.listen", "8080", "host:port"), ("gateway.listen", "localhost:70000", "host:port"),
        ("gateway.silos", "a:1,,b:2", "host:port, or several"), ("registry.url", "registry:8081", "a URL"),
        ("kafka.bootstrap.servers", "broker", "host:port"), ("node.id", "a b", "1 to 64"),
        ("data.dir", "", "a directory"),
    ])
    func aBadValueIsNamedWithWhatIsAllowed(key: String, value: String, allowed: String) throws {
        let variable = "ORCHESTRA_" + key.uppercased().replacing(".", with: "_")
        let message = try #require(problems(environment: [variable: value]).first)
        #expect(message.hasPrefix("\(key) (from environment variable \(variable)) cannot be \"\(value)\": allowed is "))
        #expect(message.contains(allowed))
        let flag = try #require(problems(flags: [.init(key: key, spelling: "--set", text: value)]).first)
        #expect(flag.contains("(from flag --set)"))
    }

    @Test(arguments: [
        (#"{"silo": {"partitions": "16"}}"#, "the text \"16\""),
        (#"{"silo": {"partitions": true}}"#, "the boolean true"),
        (#"{"silo": {"partitions": 1.5}}"#, "the number 1.5"), (#"{"log": {"level": 3}}"#, "the integer 3"),
        (#"{"gateway": {"silos": ["a:1"]}}"#, "the array"), (#"{"gateway": {"listen": null}}"#, "the null"),
    ])
    func aFileMustUseTheRightJSONType(file: String, expected: String) throws {
        let message = try #require(problems(file: file).first)
        #expect(message.contains(expected))
        #expect(message.contains("(from orchestra.json)"))
    }

    @Test func everyProblemIsReportedAtOnceAlsoHiddenOnes() {
        // The flag is right and wins, yet the variable's bad value is an error: it would bite on another day.
        let messages = problems(
            flags: [.init(key: "log.level", spelling: "--log-level", text: "info")],
            environment: ["ORCHESTRA_LOG_LEVEL": "loud", "ORCHESTRA_NONSENSE": "1"], file: #"{"x": 1}"#)
        #expect(messages.count == 3)
    }

    @Test(arguments: ["", "[1]", "{", "{\"a\": }", "\u{0}"])
    func aFileThatIsNoJSONObjectIsRefused(text: String) {
        let messages = problems(file: text)
        #expect(messages.count == 1)
        #expect(messages.first?.contains("orchestra.json is not a configuration file") == true)
    }

    @Test func aMissingNamedFileIsAnErrorAMissingDefaultOneIsNot() throws {
        let directory = FileManager.default.temporaryDirectory.path + "/orchestra-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let loader = ConfigurationLoader(environment: [:], workingDirectory: directory)
        #expect(try loader.load().filePath == nil)
        var named = loader
        named.file = "missing.json"
        let problems = #expect(throws: ConfigurationProblems.self) { try named.load() }
        #expect(problems?.messages.first?.contains("missing.json (named by --config)") == true)
        try Data(#"{"log": {"level": "error"}}"#.utf8).write(to: URL(fileURLWithPath: directory + "/orchestra.json"))
        #expect(try loader.load()[ConfigurationKeys.logLevel] == "error")
    }

    // MARK: The table

    @Test func theTableIsSound() {
        let keys = ConfigurationKeys.all
        #expect(Set(keys.map(\.name)).count == keys.count)
        #expect(Set(keys.map(\.environmentName)).count == keys.count)
        for key in keys {
            if let text = key.defaultText { #expect(key.isAllowed(text), "\(key.name): the default \(text)") }
        }
    }

    @Test(arguments: [
        ("500ms", Duration.milliseconds(500)), ("30s", .seconds(30)), ("5m", .seconds(300)), ("2h", .seconds(7200)),
        ("1d", .seconds(86400)),
    ])
    func durationsAreWrittenWithAUnit(text: String, duration: Duration) {
        #expect(Duration(configurationText: text) == duration)
    }

    @Test(arguments: ["", "5", "s", "-1s", "1.5s", "1w", "9223372036854775807d"])
    func otherDurationsAreRefused(text: String) {
        #expect(Duration(configurationText: text) == nil)
    }

    @Test func editDistanceCountsChanges() {
        #expect(editDistance("kitten", "sitting") == 3)
        #expect(editDistance("", "abc") == 3)
        #expect(editDistance("same", "same") == 0)
    }
}
