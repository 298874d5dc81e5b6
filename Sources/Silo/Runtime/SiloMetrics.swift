import Metrics
import OrchestraCore

/// What a silo counts. The lag of its inputs is among the consumer metrics of `EventLog`.
struct SiloMetrics: Sendable {
    let turns = Counter(label: "orchestra_silo_turns_total")
    let turnFailures = Counter(label: "orchestra_silo_turn_failures_total")
    let abandonedTurns = Counter(label: "orchestra_silo_turns_abandoned_total")
    let deadLetters = Counter(label: "orchestra_silo_dead_letters_total")
    let aborts = Counter(label: "orchestra_silo_transaction_aborts_total")
    let collectedGrains = Counter(label: "orchestra_silo_idle_grains_collected_total")
    let takeovers = Counter(label: "orchestra_silo_partition_starts_total")
    let batchSize = Recorder(label: "orchestra_silo_batch_inputs")
    let turnTime = Timer(label: "orchestra_silo_batch_turn_time")
    let commitTime = Timer(label: "orchestra_silo_commit_time")
    let restoreTime = Timer(label: "orchestra_silo_restore_time")
    let restoredRecords = Counter(label: "orchestra_silo_restored_records_total")
    let stateBytes = Gauge(label: "orchestra_silo_state_bytes")
}
