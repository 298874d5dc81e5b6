import ArgumentParser
import OrchestraCore
import Silo
import Testing

@testable import Orchestra

/// What is typed, and what is answered to what is typed wrongly.
@Suite struct CommandLineTests {
    private func parse(_ line: String) throws -> any ParsableCommand {
        try RootCommand.parseAsRoot(line.split(separator: " ").map(String.init))
    }

    private func problem(_ line: String) -> (message: String, status: Int32)? {
        do {
            _ = try parse(line)
            return nil
        } catch {
            return (RootCommand.message(for: error), RootCommand.exitCode(for: error).rawValue)
        }
    }

    @Test func upTakesCountsPortsAndConfiguration() throws {
        let up = try #require(
            try parse("up --agents 3 --gateways 2 --ports auto --json --data-dir d --set silo.partitions=4")
                as? UpCommand)
        #expect(up.agents == 3 && up.gateways == 2 && up.ports == .auto && up.json)
        let configuration = try up.options.load()
        #expect(configuration[ConfigurationKeys.dataDirectory] == "d")
        #expect(configuration[ConfigurationKeys.siloPartitions] == 4)
        #expect(up.options.inheritedArguments == ["--set", "silo.partitions=4"])
    }

    @Test(arguments: [
        ("up --silos 0", "--silos 0: use 1 to 16"), ("up --agents -1", "agents"),
        ("up --gateways 0", "--gateways 0: use 1 to 16"),
        ("up --ports some", "ports"), ("up --set x", "key=value"), ("up --set =x", "key=value"),
        ("run", "give a text"), ("run a --file b", "not both"), ("call counter/1", "method"),
        ("call counter/1 Add {", "no JSON"), ("call counter/1 Add --command --query", "not both"),
        ("call a/b C --timeout 0", "1 to 3600"), ("call a/b C --silo nowhere", "host:port"),
        ("broker --no-kafka --no-registry", "nothing to run"), ("schemas register a.avsc", "--subject"),
        ("schemas register --subject s", "needs a file"), ("fly", "fly"),
    ])
    func wrongUsageIsExplained(line: String, says: String) throws {
        let found = try #require(problem(line), "\(line) was accepted")
        #expect(found.status == 64)
        #expect(found.message.contains(says), "\(found.message)")
    }

    @Test func helpAndVersionAreNoErrors() throws {
        for line in ["--help", "up --help", "help run", "--version", "schemas --help"] {
            // Help is a command of its own to the parser.
            #expect((problem(line)?.status ?? 0) == 0, "\(line)")
        }
        #expect(problem("--version")?.message == "orchestra \(orchestraVersion)")
    }

    @Test func everyCommandSaysWhatItDoesAndGivesAnExample() {
        for command in RootCommand.configuration.subcommands {
            let configuration = command.configuration
            #expect(!configuration.abstract.isEmpty, "\(command)")
            if configuration.subcommands.isEmpty {
                #expect(configuration.discussion.contains("orchestra "), "\(command) has no example")
            }
        }
    }

    @Test func whetherAMethodIsACommandIsKnownForOurGrains() throws {
        func kind(_ line: String) throws -> GrainCallRequest.Kind {
            let command = try parse(line)
            let call = try #require(command as? CallCommand)
            return try call.kind(of: GrainID(parsing: call.grain).type)
        }
        #expect(try kind("call workflow/1 GetStatus") == .query)
        #expect(try kind("call workflow/1 Cancel") == .command)
        #expect(try kind("call other/1 Anything --query") == .query)
        let method = #expect(throws: OrchestraError.self) { try kind("call workflow/1 Fly") }
        #expect(method?.message.contains("GetStatus") == true)
        let type = #expect(throws: OrchestraError.self) { try kind("call other/1 Fly") }
        #expect(type?.nextStep?.contains("--command") == true)
    }

    @Test func invalidUTF8IsFoundWhereItBegins() {
        #expect(firstInvalidUTF8Offset(in: Array("all fine: é🎻\u{0}".utf8)) == nil)
        #expect(firstInvalidUTF8Offset(in: []) == nil)
        #expect(firstInvalidUTF8Offset(in: Array("ab".utf8) + [0xff]) == 2)
        #expect(firstInvalidUTF8Offset(in: Array("é".utf8) + [0xe2, 0x82]) == 2)
        #expect(firstInvalidUTF8Offset(in: [0xc0, 0x80]) == 0)
    }

    @Test func errorsForPeopleSayWhatToDoNext() {
        let error = OrchestraError(.unavailable, "port 1 is taken", nextStep: "use another")
        #expect(error.textForPeople == "port 1 is taken\n  → use another")
    }

    @Test func shellWordsAreQuotedOnlyIfNeeded() {
        #expect(".build/debug/orchestra".shellQuoted == ".build/debug/orchestra")
        #expect("a b".shellQuoted == "'a b'")
        #expect("it's".shellQuoted == "'it'\\''s'")
        #expect("".shellQuoted == "''")
    }
}
