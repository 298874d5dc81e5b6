import EventLog
import OrchestraCore
import Testing

@testable import Agents

@Suite("The task board")
struct TaskBoardTests {
    static let place = TopicPartition(topic: "t", partition: 0)
    static let other = TopicPartition(topic: "t", partition: 1)

    private func record(_ offset: Int64, at place: TopicPartition = place, size: Int = 10) -> ConsumedRecord {
        ConsumedRecord(
            topicPartition: place, offset: offset, timestamp: Timestamp(millisecondsSinceEpoch: 0), key: nil,
            value: Array(repeating: 0, count: size))
    }

    @Test("only what is done moves the mark; what is given up holds it")
    func marks() {
        var board = TaskBoard(limits: .init())
        board.assign([Self.place])
        for offset: Int64 in 0..<3 { board.add(record(offset)) }
        let tickets = (0..<3).compactMap { _ in board.take() }
        #expect(tickets.count == 3)
        board.finish(tickets[0], isDone: true)
        board.finish(tickets[1], isDone: false)
        board.finish(tickets[2], isDone: true)
        #expect(board.committable() == [Self.place: 1])
        board.committed([Self.place: 1])
        #expect(board.committable().isEmpty)
    }

    @Test("records of partitions that are not ours are not taken")
    func foreign() {
        var board = TaskBoard(limits: .init())
        board.add(record(0))
        let ticket = board.take()
        #expect(ticket == nil)
    }

    @Test("a revocation drops what waits, lets what runs count, and forgets it afterwards")
    func revocation() throws {
        var board = TaskBoard(limits: .init())
        board.assign([Self.place, Self.other])
        for offset: Int64 in 0..<3 { board.add(record(offset)) }
        board.add(record(0, at: Self.other))
        let first = board.take()
        let running = try #require(first)
        board.drain([Self.place])
        #expect(board.waitingCount == 1)
        #expect(board.isRunning([Self.place]))
        board.finish(running, isDone: true)
        #expect(!board.isRunning([Self.place]))
        #expect(board.committable(in: [Self.place]) == [Self.place: 1])
        board.remove([Self.place])
        #expect(board.committable(in: [Self.place]).isEmpty)
    }

    @Test("a task that still runs when its partition comes back is not begun again, and its end counts")
    func comesBack() throws {
        var board = TaskBoard(limits: .init())
        board.assign([Self.place])
        board.add(record(7))
        let taken = board.take()
        let running = try #require(taken)
        board.remove([Self.place])
        board.assign([Self.place])
        board.add(record(7))
        board.add(record(8))
        let second = board.take()
        let next = try #require(second)
        #expect(next.record.offset == 8)
        board.finish(next, isDone: true)
        #expect(board.committable().isEmpty)
        board.finish(running, isDone: true)
        #expect(board.committable() == [Self.place: 9])
    }

    @Test("a task that ends between two assignments does not move the mark of the second")
    func lateFinish() throws {
        var board = TaskBoard(limits: .init())
        board.assign([Self.place])
        board.add(record(7))
        let taken = board.take()
        let late = try #require(taken)
        board.remove([Self.place])
        board.finish(late, isDone: true)
        board.assign([Self.place])
        board.finish(late, isDone: true)
        #expect(board.committable().isEmpty)
        board.add(record(7))
        #expect(board.waitingCount == 1)
    }

    @Test("fetching pauses while enough waits, and resumes at half")
    func pausing() {
        var board = TaskBoard(limits: .init(window: 100, waitingRecords: 4, waitingBytes: 1 << 20))
        board.assign([Self.place, Self.other])
        for offset: Int64 in 0..<4 { board.add(record(offset)) }
        let pausing1 = board.pausing()
        #expect(pausing1.pause == [Self.place, Self.other])
        let pausing2 = board.pausing()
        #expect(pausing2.pause.isEmpty)
        _ = board.take()
        let pausing3 = board.pausing()
        #expect(pausing3.resume.isEmpty)
        _ = board.take()
        let pausing4 = board.pausing()
        #expect(pausing4.resume == [Self.place, Self.other])
    }

    @Test("large records pause earlier")
    func bytes() {
        var board = TaskBoard(limits: .init(window: 100, waitingRecords: 100, waitingBytes: 5000))
        board.assign([Self.place])
        board.add(record(0, size: 6000))
        let pausing5 = board.pausing()
        #expect(pausing5.pause == [Self.place])
        _ = board.take()
        let pausing6 = board.pausing()
        #expect(pausing6.resume == [Self.place])
    }

    @Test("a full window pauses its partition only, until the slow task ends")
    func window() throws {
        var board = TaskBoard(limits: .init(window: 3, waitingRecords: 100, waitingBytes: 1 << 20))
        board.assign([Self.place, Self.other])
        for offset: Int64 in 0..<3 { board.add(record(offset)) }
        let pausing7 = board.pausing()
        #expect(pausing7.pause == [Self.place])
        let taken = board.take()
        let slow = try #require(taken)
        while let ticket = board.take() { board.finish(ticket, isDone: true) }
        let pausing8 = board.pausing()
        #expect(pausing8.resume.isEmpty)
        board.finish(slow, isDone: true)
        let pausing9 = board.pausing()
        #expect(pausing9.resume == [Self.place])
    }
}
