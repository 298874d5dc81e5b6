import EventLog
import Records
import Silo

/// Reads every changelog as committed readers do, and sees to it that nobody commits who must not: the sequences of
/// commits have neither gap nor fork, input offsets only grow, whoever commits has a claim that stands and that was made
/// with the epoch that it commits with, and under a claim nobody commits again after another has.
///
/// `@unchecked Sendable`: it belongs to the thread of its ``VirtualWorld``.
final class CommitChecker: @unchecked Sendable {
    private struct Writer: Equatable, CustomStringConvertible {
        var producer: String
        var epoch: Int
        var description: String { "\(producer)/\(epoch)" }
    }

    private struct Tenure: Equatable {
        var writer: Writer
        var claim: Int64
    }

    private struct Partition {
        var position: Int64 = 0
        var sequence: Int64 = 0
        var offsets: [String: Int64] = [:]
        /// Who has committed last, and where its claim stands.
        var tenure: Tenure?
        /// Claims under which somebody has committed before somebody else did.
        var ended: Set<Int64> = []
        /// Who made the claims that stand, by silo.
        var claims: [String: (writer: Writer, offset: Int64)] = [:]
    }

    private let codec: PlainCodec
    private let history: History
    private var partitions: [Int32: Partition] = [:]
    private(set) var commits = 0
    private(set) var changesOfOwner = 0

    init(_ codec: PlainCodec, _ history: History) {
        (self.codec, self.history) = (codec, history)
    }

    /// Of the last commit.
    func sequence(of partition: Int32) -> Int64 { partitions[partition]?.sequence ?? 0 }

    /// The committed part of a partition may have grown.
    func look(at log: ModelKafka.Partition) {
        guard log.place.topic == Topics.state else { return }
        let number = log.place.partition
        var partition = partitions.removeValue(forKey: number) ?? Partition()
        let end = log.lastStable
        while partition.position < end {
            let offset = partition.position
            partition.position += 1
            guard case .record(let record, let transaction?) = log.entries[Int(offset)],
                transaction.verdict == .committed
            else { continue }
            let writer = Writer(producer: transaction.producer, epoch: transaction.epoch)
            take(record, of: writer, at: offset, number, &partition)
        }
        partitions[number] = partition
    }

    private func take(
        _ record: ProducerRecord, of writer: Writer, at offset: Int64, _ number: Int32, _ partition: inout Partition
    ) {
        switch ChangelogKey(record.key ?? []) {
        case .claim(let silo): partition.claims[silo] = record.value == nil ? nil : (writer, offset)
        case .progress:
            guard let value = record.value,
                let progress = try? codec.decodeIfKnown(PartitionProgress.self, from: value)
            else { return history.violation("partition \(number): a progress record cannot be read") }
            take(progress, of: writer, at: offset, number, &partition)
        default: break
        }
    }

    private func take(
        _ progress: PartitionProgress, of writer: Writer, at offset: Int64, _ number: Int32,
        _ partition: inout Partition
    ) {
        commits += 1
        if progress.sequence != partition.sequence + 1 {
            history.violation(
                "partition \(number)@\(offset): \(writer) commits \(progress.sequence) after \(partition.sequence) of "
                    + "\(partition.tenure.map { "\($0.writer)" } ?? "nobody"): a fork")
        }
        for (topic, next) in progress.nextOffsets.sorted(by: { $0.key < $1.key }) {
            let before = partition.offsets[topic, default: 0]
            if next < before {
                history.violation("partition \(number)@\(offset): \(topic) goes back from \(before) to \(next)")
            }
        }
        partition.sequence = progress.sequence
        partition.offsets = progress.nextOffsets
        guard let claim = partition.claims.values.first(where: { $0.writer == writer }) else {
            return history.violation("partition \(number)@\(offset): \(writer) commits without a claim")
        }
        let tenure = Tenure(writer: writer, claim: claim.offset)
        guard partition.tenure != tenure else { return }
        changesOfOwner += 1
        if let last = partition.tenure { partition.ended.insert(last.claim) }
        partition.tenure = tenure
        if partition.ended.contains(tenure.claim) {
            history.violation("partition \(number)@\(offset): \(writer) commits under a claim that has ended")
        }
    }
}
