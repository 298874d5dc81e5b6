import ArgumentParser
import LocalBroker
import OrchestraCore

/// `orchestra broker check`: verifies the local broker's data while it does not run.
struct BrokerCheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Verify the broker's data folder while the broker does not run.",
        discussion: """
            Reads everything and changes nothing: the database file, the order, checksums and counts of all record batches,
            what is stored about producers and transactions against what the logs say, and the offsets of groups. Exit status
            1 if anything is wrong.

              orchestra broker check --data-dir .orchestra
            """)

    /// Problems that are printed; of the rest only the number.
    private static let printedProblems = 50

    @OptionGroup(title: "Configuration") var options: ConfigurationOptions

    func run() throws {
        let configuration = try options.load()
        let directory = DataDirectory(path: configuration[ConfigurationKeys.dataDirectory]).brokerDirectory
        let report = try BrokerCheck.run(directory: directory)
        let counts = report.counts
        Console.print(
            """
            \(directory): \(counts.topics) topics with \(counts.partitions) partitions, \(counts.batches) batches \
            (\(counts.records) records, \(counts.bytes) bytes), \(counts.transactionalIDs) transactional ids \
            (\(counts.openTransactions) open), \(counts.groups) groups with \(counts.groupOffsets) offsets
            """)
        for note in report.notes { Console.print("note: \(note)") }
        for problem in report.problems.prefix(Self.printedProblems) {
            Console.printError("wrong: \(problem)")
            Console.printError("  → \(problem.nextStep)")
        }
        guard report.isSound else {
            let rest = report.problemCount - Self.printedProblems
            Console.printError(
                rest > 0 ? "\(report.problemCount) problems; \(rest) are not shown" : "\(report.problemCount) problems")
            throw CommandFailure()
        }
        Console.print("everything agrees")
    }
}
