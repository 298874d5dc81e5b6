extension Array where Element: Hashable {
    /// Each element once, where it comes first. Names in a request are small and what is answered for each is not: who
    /// repeated one would get an answer of any size.
    var withoutRepetitions: [Element] {
        var seen: Set<Element> = []
        return filter { seen.insert($0).inserted }
    }
}
