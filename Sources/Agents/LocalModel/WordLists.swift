/// Words that are written with a full stop inside a sentence, in lower case and without the last stop.
enum Abbreviations {
    static let words: Set<String> = Set(
        """
        mr mrs ms dr prof rev gen col sgt capt lt st jr sr vs cf fig figs eq no nos vol vols ed eds approx dept est inc
        ltd co corp mt ft jan feb mar apr jun jul aug sep sept oct nov dec mon tue wed thu fri sat sun e.g i.e a.m p.m
        u.s u.k u.n ph.d b.a m.a al ca resp incl pp p
        z.b d.h u.a o.ä bzw usw vgl nr str ggf evtl bspw hr fr abs art ing dipl
        mme mlle m.me av bd chap env ex
        sra srta ud uds ee.uu pág avda
        sig sigg dott ecc pag
        dhr mevr bijv enz blz
        г ул др т.е т.д т.п напр стр см
        """.split(whereSeparator: \.isWhitespace).map(String.init))
}

/// Words too common to say what a text is about.
enum StopWords {
    /// ``WordHash`` values.
    static let hashes: Set<UInt64> = Set(
        """
        a about above after again all also although am an and any are as at be because been before being below between
        both but by can cannot could did do does doing down during each even few for from further had has have having he
        her here hers him his how however i if in into is it its itself just like many may me might more most much must my
        no nor not now of off on once one only or other our ours out over own s same she should so some such t than that
        the their theirs them then there these they this those through thus to too two under until up upon us very was we
        were what when where whether which while who whom whose why will with within without would you your yours
        aber als am an auch auf aus bei bin bis bist da damit dann das dass dem den der des dich die dies diese dieser du
        durch ein eine einem einen einer eines er es für hat hatte ich ihr im in ist ja kann können man mehr mit nach nicht
        noch nur oder ohne sehr sein sich sie sind so über um und uns unter vom von vor war was weil wenn wer werden wie
        wir wird zu zum zur
        au aux avec ce ces cette dans de des du elle en est et eux il ils je la le les leur lui ma mais me même mes moi mon
        ne nos notre nous on ou où par pas pour qu que qui sa sans se ses son sont sur ta te tes toi ton tu un une vos
        votre vous y été être
        al algo como con cuando de del desde donde el ella ellas ellos en entre era es esta estas este esto estos fue ha
        hay la las lo los mas más me mi muy no nos o otra para pero por porque que se ser si sin sobre son su sus también
        te tiene todo un una uno y ya
        che chi ci come con cui da dal dalla dei del della delle di dove e gli ha ho i il in io la le lo loro ma mi nei
        nel nella noi non o per perché più quando quella quello questa questo se si sono su sua suo tra un una uno
        ao aos as até com da das do dos e ela eles em entre era essa esse esta este eu foi isso mais mas me muito na nas
        no nos num não o os ou para pela pelo por qual que se sem ser seu sua são também um uma
        aan als bij dat de den deze die dit door een en er haar had heb heeft het hij hoe hun ik in is je kan maar me met
        naar niet nog nu of om ook op over te tot uit van voor was wat we werd wie wij worden zal ze zich zij zijn
        а без более бы был была были было в вам вас весь во все всё вы где да для до его ее её если есть еще ещё же за и из
        или им их к как ко когда кто ли либо мне может мы на над не него нет ни них но ну о об он она они оно от по под при
        с со так также такой там те тем то того той только том ты у уже чего чем что чтобы это этого этот я
        """.split(whereSeparator: \.isWhitespace).map { WordHash.hash($0) })
}

/// A 64-bit FNV-1a hash of a word's scalars in lower case: the same in every process, and no memory per word.
struct WordHash {
    private(set) var value: UInt64 = 0xcbf2_9ce4_8422_2325

    @inline(__always)
    mutating func add(_ scalar: UInt32) {
        value = (value ^ UInt64(foldCase(scalar))) &* 0x100_0000_01b3
    }

    static func hash(_ word: some StringProtocol) -> UInt64 {
        var hash = WordHash()
        for scalar in word.unicodeScalars { hash.add(scalar.value) }
        return hash.value
    }
}
