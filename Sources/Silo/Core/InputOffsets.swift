package import OrchestraCore
package import Records

/// Where a partition begins to read its inputs.
///
/// The progress record is the authority: group offsets expire. It names every input topic from the first commit on, so
/// a topic that it does not name has never been read and is read from its beginning. Offsets that do not
/// exist beside state that does mean that one of the topics was lost or replaced: going on would skip or
/// repeat inputs, so the partition stops instead.
package enum InputOffsets {
    /// - Parameters:
    ///   - watermarks: the first and the next offset of each input topic.
    ///   - isEmpty: whether the partition has neither state nor progress.
    /// - Throws: ``OrchestraError`` with `badConfiguration` when progress and topics contradict each other.
    package static func starts(
        progress: PartitionProgress?, isEmpty: Bool, partition: Int32,
        watermarks: [String: (low: Int64, high: Int64)]
    ) throws(OrchestraError) -> [String: Int64] {
        guard let progress else {
            guard isEmpty else {
                throw OrchestraError(
                    .badConfiguration, "partition \(partition) has grain state but no record of its input offsets",
                    nextStep: "restore \(Topics.state) from a backup, or begin with new topics")
            }
            return watermarks.mapValues(\.low)
        }
        // Topics that are no longer handled keep their places, in case they come back.
        var starts = progress.nextOffsets
        for (topic, range) in watermarks {
            guard let next = progress.nextOffsets[topic] else {
                starts[topic] = range.low
                continue
            }
            guard next >= range.low, next <= range.high else {
                let gap =
                    next < range.low
                    ? "offsets \(next) to \(range.low - 1) have been deleted unread"
                    : "its end is \(range.high), before offset \(next) that has been processed"
                throw OrchestraError(
                    .badConfiguration, "\(topic)[\(partition)] does not continue the partition's state: \(gap)",
                    nextStep: "restore the topic, or accept the loss by beginning with new topics")
            }
        }
        return starts
    }
}
