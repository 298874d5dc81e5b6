/// The bounds of turns, state and memory. Sizes are in bytes.
package struct GrainLimits: Sendable, Hashable {
    /// The encoded state of one grain, before compression. Default: 1 MiB.
    package var maximumStateSize = 1 << 20
    /// One record that a turn sends. Default: 64 KiB less than the topics' `max.message.bytes`.
    package var maximumRecordSize = Topics.maximumMessageSize - (64 << 10)
    /// All records that one turn sends. Default: 16 MiB.
    package var maximumTurnBytes = 16 << 20
    /// The durable timers of one grain. Default: 256.
    package var maximumTimers = 256
    /// How long a turn may take, retries included. Default: 2 s.
    package var turnTime = Duration.seconds(2)
    /// How long a repeated request is recognised. Default: 24 h.
    package var requestWindow = Duration.seconds(86_400)
    /// How many requests one grain remembers within the window. Default: 1,024.
    package var maximumRequests = 1_024
    /// The replies that one grain remembers, in bytes altogether. Default: 256 KiB.
    package var maximumRequestBytes = 256 << 10
    /// As many requests, or as many bytes of replies, go to a record of their own, so that not every commit of the grain
    /// repeats them. Default: 32, 16 KiB.
    package var openRequests = 32
    package var openRequestBytes = 16 << 10
    /// Below this age a request is never forgotten to make room: the caller is told `overloaded` instead. Above it, the
    /// oldest make room. Default: 10 s.
    package var minimumRequestAge = Duration.seconds(10)
    /// How much of a record's value a dead letter repeats. Default: 16 KiB.
    package var deadLetterPayload = 16 << 10
    /// State from this size on is compressed. Default: 1 KiB.
    package var compressionThreshold = 1 << 10

    /// Records in one batch. Default: 512.
    package var maximumBatchRecords = 512
    /// Bytes of input in one batch; the batch may exceed it by one record. Default: 4 MiB.
    package var maximumBatchBytes = 4 << 20
    /// Calls that wait in one partition's mailbox. Default: 1,024.
    package var maximumQueuedCalls = 1_024
    /// Bytes of calls that wait in one partition's mailbox. Default: 16 MiB.
    package var maximumQueuedCallBytes = 16 << 20
    /// Queries that wait in one partition (long polls, positions). Default: 8,192.
    package var maximumWaitingQueries = 8_192
    /// Decoded grains that one partition keeps besides their bytes. Default: 2,048.
    package var maximumLiveGrains = 2_048
    /// The encoded state that those stand for. Default: 16 MiB.
    package var maximumLiveBytes = 16 << 20
    /// Volatile grains that one partition keeps. Default: 16,384.
    package var maximumVolatileGrains = 16_384
    /// How long a grain that nobody calls stays at hand: of a durable one the decoded state (its bytes stay, and it is decoded
    /// again when it is needed), of a volatile one all there is. Collected between half this time and all of it. Default:
    /// 15 min.
    package var idleTime = Duration.seconds(15 * 60)
    /// Turns of suspending handlers that one partition runs at a time. Default: 64.
    package var maximumConcurrentTurns = 64
    /// The encoded state of all grains of one silo. Default: 2 GiB. Above it the silo takes no more input and refuses
    /// commands until there is room.
    package var maximumSiloStateBytes = 2 << 30

    package init() {}
}
