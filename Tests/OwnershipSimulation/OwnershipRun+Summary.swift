extension OwnershipRun.Report {
    /// What many runs came to, in a line or two.
    package static func summary(of reports: [OwnershipRun.Report]) -> String {
        func total(_ value: (OwnershipRun.Report) -> Int) -> Int { reports.reduce(0) { $0 + value($1) } }
        let healing = reports.map(\.healing).sorted()
        let faults = reports.reduce(into: [:]) { $0.merge($1.faults, uniquingKeysWith: +) }
        return """
            \(reports.count) runs: \(total(\.operations)) operations, \(total(\.commits)) commits, \
            \(total(\.changesOfOwner)) changes of owner, \(total(\.initializations)) initialisations, \
            \(total(\.boardAnswers)) answers of volatile grains, \(total(\.boardChanges)) of them lost, \(total(\.jobs)) jobs; healing \(healing.isEmpty ? 0 : healing[healing.count / 2] / 1_000) ms, at most \
            \((healing.last ?? 0) / 1_000) ms
            \(faults.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", "))
            """
    }
}
