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
    func marks() throws {
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
        #expect(board.take() == nil)
    }

    @Test("a revocation drops what waits, lets what runs count, and forgets it afterwards")
    func revocation() throws {
        var board = TaskBoard(limits: .init())
        board.assign([Self.place, Self.other])
        for offset: Int64 in 0..<3 { board.add(record(offset)) }
        board.add(record(0, at: Self.other))
        let running = try #require(board.take())
        board.drain([Self.place])
        #expect(board.waitingCount == 1)
        #expect(board.isRunning([Self.place]))
        board.finish(running, isDone: true)
        #expect(!board.isRunning([Self.place]))
        #expect(board.committable(in: [Self.place]) == [Self.place: 1])
        board.remove([Self.place])
        #expect(board.committable(in: [Self.place]).isEmpty)
    }

    @Test("a task of an earlier assignment does not touch the next one")
    func lateFinish() throws {
        var board = TaskBoard(limits: .init())
        board.assign([Self.place])
        board.add(record(7))
        let late = try #require(board.take())
        board.remove([Self.place])
        board.assign([Self.place])
        board.add(record(7))
        board.finish(late, isDone: true)
        #expect(board.committable().isEmpty)
        let again = try #require(board.take())
        #expect(again.record.offset == 7)
        board.finish(again, isDone: true)
        #expect(board.committable() == [Self.place: 8])
    }

    @Test("fetching pauses while enough waits, and resumes at half")
    func pausing() throws {
        var board = TaskBoard(limits: .init(window: 100, waitingRecords: 4, waitingBytes: 1 << 20))
        board.assign([Self.place, Self.other])
        for offset: Int64 in 0..<4 { board.add(record(offset)) }
        #expect(board.pausing().pause == [Self.place, Self.other])
        #expect(board.pausing().pause.isEmpty)
        _ = board.take()
        #expect(board.pausing().resume.isEmpty)
        _ = board.take()
        #expect(board.pausing().resume == [Self.place, Self.other])
    }

    @Test("large records pause earlier")
    func bytes() {
        var board = TaskBoard(limits: .init(window: 100, waitingRecords: 100, waitingBytes: 5000))
        board.assign([Self.place])
        board.add(record(0, size: 6000))
        #expect(board.pausing().pause == [Self.place])
        _ = board.take()
        #expect(board.pausing().resume == [Self.place])
    }

    @Test("a full window pauses its partition only, until the slow task ends")
    func window() throws {
        var board = TaskBoard(limits: .init(window: 3, waitingRecords: 100, waitingBytes: 1 << 20))
        board.assign([Self.place, Self.other])
        for offset: Int64 in 0..<3 { board.add(record(offset)) }
        #expect(board.pausing().pause == [Self.place])
        let slow = try #require(board.take())
        while let ticket = board.take() { board.finish(ticket, isDone: true) }
        #expect(board.pausing().resume.isEmpty)
        board.finish(slow, isDone: true)
        #expect(board.pausing().resume == [Self.place])
    }
}
