/// The numbers of the protocol. All nodes of a cluster should use the same.
package struct MembershipSettings: Sendable {
    /// Within this time a node sends ``probesPerPeriod`` probes, each to another neighbour.
    package var probePeriod: Duration = .seconds(1)
    package var probesPerPeriod = 3
    /// How long a direct ping may take before helpers are asked and a fresh connection is tried; the same again
    /// before the subject is accused. More than two retransmissions of TCP.
    package var probeTimeout: Duration = .milliseconds(500)
    package var helperCount = 3
    package var maximumLocalHealth = 8

    /// The shortest suspicion is this many probe timeouts per decade of silos… Lifeguard takes 4 probe periods, because
    /// there two random members that confirm suffice. Here it takes several of the subject's own neighbours, each by its
    /// own probe, so the same certainty costs less time.
    package var suspicionFactor = 3.0
    /// …up to a thousand silos, and this many for each decade beyond: there the only thing that still grows is how long
    /// news takes to the subject and back. From 1,000 to 10,000 nodes that is a few hundredths of a second in the
    /// simulation, as seen by deaths with a closed port, which wait for nothing else; this is a quarter of a second.
    package var suspicionFactorBeyondThousand = 0.5
    /// …and never shorter than this.
    package var shortestSuspicion: Duration = .milliseconds(1500)
    /// The longest suspicion, as a multiple of the shortest one.
    package var suspicionMultiple = 6.0
    /// The number of accusing silos that brings a suspicion to its shortest.
    package var accusersForShortest = 3
    /// How long a subject may still refute once several peers have found its port closed.
    package var refusedGrace: Duration = .milliseconds(300)

    /// A member is accused after so many more failed probes in a row as it has refuted suspicions lately, at most this
    /// many: see ``Leniency``.
    package var maximumFurtherProbes = 3
    /// How long a refutation counts for that.
    package var leniencyTime: Duration = .seconds(60)

    /// The pause between two rounds of gossip while there is news.
    package var gossipInterval: Duration = .milliseconds(100)
    package var gossipFanout = 3
    /// The largest piece of news in one message, in bytes, so that a ping stays within one segment.
    package var piggybackBytes = 1200
    /// Each node passes news on at most `sendFactor` · log2(N + 1) times.
    package var sendFactor = 3.0
    /// More news than this waits for synchronisation instead.
    package var maximumNews = 512

    /// Push-pull with a neighbour, for clusters of up to 32 members; longer for larger ones.
    package var syncInterval: Duration = .seconds(30)
    /// Between two synchronisations that a difference of digests has caused.
    package var repairInterval: Duration = .seconds(1)
    /// How long an answer within a synchronisation may take.
    package var syncTimeout: Duration = .seconds(3)
    /// The records in one message of a synchronisation, in bytes, roughly.
    package var syncChunkBytes = 8192
    /// More records than this, in bytes, are in no message of a synchronisation. Names that fall into one bucket by
    /// chance stay far below it even in the largest cluster; those that somebody has chosen need not.
    package var syncMessageBytes = 64 * 1024

    /// Between attempts to reach a dead member again, for clusters of up to 64 members; longer for larger ones.
    package var deadRetryInterval: Duration = .seconds(8)
    /// How long the end of a generation is remembered.
    package var tombstoneLifetime: Duration = .seconds(24 * 3600)
    /// Between attempts to join through the seeds, doubled with each up to ``joinRetryMaximum``.
    package var joinRetry: Duration = .milliseconds(500)
    package var joinRetryMaximum: Duration = .seconds(10)
    /// A node that is declared dead again within five minutes waits this long, doubled each time, up to two minutes.
    package var rejoinBackoff: Duration = .seconds(5)

    /// The longest time for which a death waits for other suspicions that are about to ripen, so that simultaneous
    /// crashes become one change of the view.
    package var settleTime: Duration = .milliseconds(1500)
    /// Arrivals within this time become one change of the view.
    package var arrivalSettleTime: Duration = .milliseconds(100)
    /// The shortest time between two changes of load by one node, to which two seconds per member are added.
    package var describeInterval: Duration = .seconds(5)
    /// A load is told when it differs by so much from what was told last: a tenth of the scale.
    package var loadStep = 26
    /// A smaller difference is told too, but only ten times as seldom, and not at all below this hundredth of the scale.
    package var loadDrift = 3
    /// How late a wake-up must be for the node to conclude that it was itself paused.
    package var stallThreshold: Duration = .milliseconds(250)
    /// A node that hears nothing from anybody accuses nobody for this long.
    package var deafPatience: Duration = .seconds(10)
    /// Members beyond this many, live and ended, are not taken in.
    package var maximumMembers = 65_536

    package init() {}

    /// The shortest and longest suspicion of a member in a cluster of so many live silos.
    package func suspicionBounds(siloCount: Int) -> (shortest: Duration, longest: Duration) {
        let decades = log10(Double(max(1, siloCount)))
        let timeouts = suspicionFactor * min(decades, 3) + suspicionFactorBeyondThousand * max(0, decades - 3)
        let shortest = max(shortestSuspicion, probeTimeout.scaled(by: timeouts))
        return (shortest, shortest.scaled(by: suspicionMultiple))
    }

    package func sendLimit(memberCount: Int) -> Int {
        max(3, ceiling(sendFactor * log2(Double(memberCount + 1))))
    }

    /// - Returns: how often the pair of live neighbours on one ring is doubled: `1 + ⌈log2(N) / 2⌉`, at least 2.
    package func ringCount(memberCount: Int) -> Int {
        max(2, 1 + ceiling(log2(Double(max(2, memberCount))) / 2))
    }

    func scaled(_ interval: Duration, memberCount: Int, unscaledTo base: Int) -> Duration {
        memberCount <= base ? interval : interval.scaled(by: 1 + log2(Double(memberCount) / Double(base)))
    }
}
