import Foundation
import OrchestraCore
import Synchronization
import Testing

@testable import Orchestra

/// Real processes: what a child inherits, what it says, how its end is told.
@Suite struct ChildProcessTests {
    private final class Reports: Sendable {
        let messages = Mutex<[SupervisorLink.Message]>([])
        let exit = Mutex<ProcessExit?>(nil)

        func take(_ report: ChildProcess.Report) {
            switch report {
            case .said(let message): messages.withLock { $0.append(message) }
            case .exited(let status): exit.withLock { $0 = status }
            }
        }
    }

    /// Runs a shell script to its end, or until `whileRunning` has been called.
    private func run(
        _ script: String, whileRunning: (ChildProcess, ChildLog, Reports) async throws -> Void = { _, _, _ in }
    ) async throws -> (exit: ProcessExit, log: [String], messages: [SupervisorLink.Message]) {
        let directory = try TemporaryDirectory()
        let log = try ChildLog(path: directory.path + "/child.log")
        let reports = Reports()
        let child = try ChildProcess.spawn(
            executable: "/bin/sh", name: "test", arguments: ["-c", script], log: log, report: reports.take)
        try await whileRunning(child, log, reports)
        try await eventually("end of the script \(script)") { reports.exit.withLock { $0 != nil } }
        return (try #require(reports.exit.withLock { $0 }), log.lastLines(20), reports.messages.withLock { $0 })
    }

    @Test func outputGoesToTheLogAlsoWithoutALineEnd() async throws {
        let result = try await run("echo one; echo two >&2; printf three")
        #expect(result.exit == .code(0))
        #expect(result.log == ["one", "two", "three"])
    }

    @Test func exitStatusAndSignalAreToldApart() async throws {
        #expect(try await run("exit 3").exit == .code(3))
        #expect(try await run("kill -KILL $$").exit == .signal(9))
    }

    @Test func messagesArriveAndOtherLinesAreLeftOut() async throws {
        let result = try await run(
            #"echo '{"ready":{"kafka":"h:1"}}' >&3; echo nonsense >&3; echo '{"failed":"port taken"}' >&3"#)
        #expect(result.messages == [.ready(["kafka": "h:1"]), .failed("port taken")])
    }

    @Test func aChildHasItsOwnProcessGroupAndNoOtherDescriptors() async throws {
        let held = open("/dev/null", O_RDONLY | O_CLOEXEC)
        defer { close(held) }
        let result = try await run("cut -d ' ' -f 5 /proc/$$/stat; echo $$; ls /proc/$$/fd | tr '\\n' ' '")
        try #require(result.log.count == 3)
        #expect(result.log[0] == result.log[1])
        // A shell may keep a descriptor of its own from 10 on.
        let descriptors = result.log[2].split(separator: " ").compactMap { Int($0) }.filter { $0 < 10 }
        #expect(descriptors == [0, 1, 2, 3])
    }

    @Test func aStoppedChildEndsBySignal() async throws {
        let result = try await run("echo up; exec sleep 600") { child, log, _ in
            try await eventually("first line") { log.lastLines(1) == ["up"] }
            child.send(signal: SIGTERM)
        }
        #expect(result.exit == .signal(15))
    }

    @Test func messagesSurviveBeingCutAnywhere() {
        let bytes = Array("{\"ready\":{}}\n{\"failed\":\"x\"}\n".utf8)
        for cut in 0...bytes.count {
            var reader = SupervisorLink.MessageReader()
            let messages = reader.append(bytes[..<cut]) + reader.append(bytes[cut...])
            #expect(messages == [.ready([:]), .failed("x")])
        }
    }
}
