// Names in a request are small and what is answered for each is not: who repeated one would get an answer of any size.

extension Array {
    /// The elements whose keys come for the first time.
    func withoutRepetitions<Key: Hashable>(of key: (Element) -> Key) -> [Element] {
        var seen: Set<Key> = []
        return filter { seen.insert(key($0)).inserted }
    }
}

extension Array where Element: Hashable {
    /// Each element once, where it comes first.
    var withoutRepetitions: [Element] { withoutRepetitions(of: \.self) }
}
