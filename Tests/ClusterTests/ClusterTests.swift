import Testing

/// Tests with whole clusters of real processes. They run one after the other: each wants the machine for itself.
@Suite(.serialized)
enum ClusterTests {}
