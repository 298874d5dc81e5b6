import EventLog
import Logging
import OrchestraCore
import Testing

@testable import Silo

@Suite(.timeLimit(.minutes(1)))
struct GroupOffsetsTests {
    private let told = Locked<[[TopicPartition: Int64]]>([])
    private let failures = Locked(0)

    /// Offsets whose first `failures` commits fail.
    private func make(interval: Duration = .seconds(5)) -> GroupOffsets {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let (told, failures) = (told, failures)
        return GroupOffsets(interval: interval, clocks: .system, logger: logger) { offsets throws(EventLogError) in
            let fails = failures.use { failures in
                failures -= 1
                return failures >= 0
            }
            if fails { throw EventLogError(kind: .timedOut, name: "_TIMED_OUT", message: "the coordinator is away") }
            told.use { $0.append(offsets) }
        }
    }

    private func place(_ partition: Int32) -> TopicPartition { TopicPartition(topic: "in", partition: partition) }

    @Test func theGroupLearnsTheLastOffsetsOnce() async {
        let offsets = make()
        offsets.note([place(1): 10])
        offsets.note([place(1): 11, place(2): 20])
        offsets.note([:])
        await offsets.report()
        await offsets.report()
        #expect(told.value == [[place(1): 11, place(2): 20]])
        offsets.note([place(2): 21])
        await offsets.report()
        #expect(told.value.last == [place(2): 21])
    }

    @Test func whatCouldNotBeToldIsToldLaterUnlessThereIsNewer() async {
        failures.use { $0 = 2 }
        let offsets = make()
        offsets.note([place(1): 10, place(2): 20])
        await offsets.report()
        offsets.note([place(1): 11])
        await offsets.report()
        #expect(told.value.isEmpty)
        await offsets.report()
        #expect(told.value == [[place(1): 11, place(2): 20]])
    }

    @Test func itReportsNowAndThenByItself() async throws {
        let offsets = make(interval: .milliseconds(5))
        // It ends only when it is cancelled.
        let task = Task { await offsets.run() }
        for offset in Int64(1)...3 {
            offsets.note([place(1): offset])
            try await eventually("the group knows") { told.value.last == [place(1): offset] }
        }
        task.cancel()
        await task.value
    }
}
