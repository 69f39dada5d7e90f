//! Random sites, and random requests that meet them: small alphabets, so that patterns cross and
//! conditions hold about as often as not.

use crate::tree::ir::*;
use crate::tree::request::{Cert, Handshake, Plain};
use std::net::IpAddr;
use std::sync::Arc;

/// SplitMix64: a seed printed by a failure repeats it anywhere.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    pub(super) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(super) fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    pub(super) fn word<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }
}

const UUID: &str = "123e4567-e89b-12d3-a456-426614174000";

/// Words that segments of patterns are made of, and that requests carry.
const WORDS: &[&str] =
    &["a", "b", "ab", "a7", "7", "07", "v1", "v7", "a.png", "7.png", "a%20b", "a%2Bb", "pas", UUID, "zz"];

pub(super) struct Generator {
    pub(super) random: Random,
    segments: Vec<Segment>,
    regexes: Vec<Regex>,
    /// The site at hand has few captures, or many routes.
    plain: bool,
    wide: bool,
    /// All sites have few routes.
    small: bool,
}

impl Generator {
    pub(super) fn new(seed: u64) -> Self {
        let regexes: Vec<Regex> = ["[0-9]+", "[a-z]+", "a.*", ".*7", "[a-z +]+", "(?:a|b)?7?", "[0-9a-f-]{36}"]
            .map(|source| Regex::new(source).unwrap())
            .into();
        let capture = |p: &str, class: &Class, s: &str| Segment::Capture {
            prefix: p.into(),
            class: class.clone(),
            suffix: s.into(),
        };
        let set = |all: &[&str]| Class::Set(all.iter().map(|one| Arc::from(*one)).collect());
        let mut segments: Vec<Segment> = WORDS.iter().map(|word| Segment::Lit((*word).into())).collect();
        let mut classes = vec![Class::Any, Class::Int, Class::Uuid, set(&["7", "a", "v1"]), set(&["a", "b"])];
        classes.extend(regexes.iter().cloned().map(Class::Regex));
        for class in &classes {
            segments.push(capture("", class, ""));
        }
        for (prefix, suffix) in [("a", ""), ("", ".png"), ("v", ""), ("p", "s"), ("", "7"), ("a", "7")] {
            for class in [&classes[0], &classes[0], &classes[1], &classes[4], &classes[6]] {
                segments.push(capture(prefix, class, suffix));
            }
        }
        Self { random: Random::new(seed), segments, regexes, plain: false, wide: false, small: false }
    }

    /// Sites of few routes and plain conditions, many of which can be looked at.
    pub(super) fn small(seed: u64) -> Self {
        Self { small: true, ..Self::new(seed) }
    }

    fn segment(&mut self) -> Segment {
        let kinds = if self.plain && self.random.chance(90) { 5 } else { 10 };
        match self.random.below(kinds) {
            0..5 => Segment::Lit(self.random.word(WORDS).into()),
            5 => Segment::any(),
            _ => {
                let Self { random, segments, .. } = self;
                random.pick(segments).clone()
            }
        }
    }

    /// A site with some plans, each of which tells who decided: entries and misses have one each.
    pub(super) fn site(&mut self) -> Site {
        self.plain = self.random.chance(30);
        self.wide = self.random.chance(10) && !self.small;
        let mut scopes = Vec::new();
        let mut plans = 0;
        let root = PathPattern { segments: Vec::new(), splat: true };
        self.scope(root, 0, &mut scopes, &mut plans);
        let plan = Plan {
            steps: Vec::new(),
            answer: Answer::NotFound,
            catches: Vec::new(),
            settings: Settings::default(),
            loc: Default::default(),
            policies: Vec::new(),
        };
        Site {
            hosts: vec![(HostPattern::of_literal("a.example"), Default::default())],
            scopes,
            plans: vec![plan; plans as usize],
            pools: Vec::new(),
            calls: Vec::new(),
            providers: Vec::new(),
            on_demand: None,
            via: None,
            settings: SiteSettings {
                tls: Tls::Auto,
                http_allowed: true,
                default: false,
                paths: Paths::Canonical,
                semicolon: true,
                walls: Default::default(),
                handshake: crate::tree::ir::Handshake::default(),
            },
            loc: Default::default(),
        }
    }

    fn scope(&mut self, pattern: PathPattern, depth: usize, scopes: &mut Vec<Scope>, plans: &mut u32) -> ScopeIdx {
        let mut plan = || {
            *plans += 1;
            PlanIdx(*plans - 1)
        };
        let id = ScopeIdx(scopes.len() as u32);
        let miss = plan();
        let empty =
            Scope { pattern: pattern.clone(), entries: Vec::new(), miss, protected: false, loc: Default::default() };
        scopes.push(empty);
        let count = match depth {
            0 if self.wide => 25,
            0 if self.small => 1 + self.random.below(4),
            _ if self.small => self.random.below(3),
            0 => 1 + self.random.below(9),
            _ => self.random.below(5),
        };
        for _ in 0..count {
            let pathless = depth > 0 && self.random.chance(30);
            let inner = if pathless { pattern.clone() } else { self.below_pattern(&pattern) };
            let guard =
                if self.random.chance(45) { Cond::Const(true) } else { self.cond(if self.small { 1 } else { 2 }) };
            let target = if !pathless && depth < 3 && self.random.chance(25) {
                let block = PathPattern { splat: true, ..inner.clone() };
                Target::Scope(self.scope(block, depth + 1, scopes, plans))
            } else {
                *plans += 1;
                Target::Plan(PlanIdx(*plans - 1))
            };
            let inner = match target {
                Target::Scope(scope) => scopes[scope.0 as usize].pattern.clone(),
                Target::Plan(_) => inner,
            };
            let entry = Entry { pattern: inner, guard, target, pathless, loc: Default::default(), names: Vec::new() };
            scopes[id.0 as usize].entries.push(entry);
        }
        // The same pattern again, under another condition.
        if let Some(entry) = scopes[id.0 as usize].entries.last().cloned()
            && matches!(entry.target, Target::Plan(_))
            && self.random.chance(40)
        {
            *plans += 1;
            let guard = self.cond(1);
            let again = Entry { guard, target: Target::Plan(PlanIdx(*plans - 1)), ..entry };
            scopes[id.0 as usize].entries.insert(0, again);
        }
        id
    }

    fn below_pattern(&mut self, base: &PathPattern) -> PathPattern {
        let mut segments = base.segments.clone();
        let most = if base.segments.is_empty() && !self.wide { 4 } else { 3 };
        for _ in 0..self.random.below(most) {
            segments.push(self.segment());
        }
        PathPattern { segments, splat: self.random.chance(35) }
    }

    fn cond(&mut self, depth: usize) -> Cond {
        match self.random.below(if depth == 0 { 6 } else { 10 }) {
            0..5 => {
                let (field, test) = self.test();
                Cond::Test(field, test)
            }
            5 => self.relation(),
            6 => Cond::Not(Box::new(self.cond(depth - 1))),
            7 => Cond::And((0..1 + self.random.below(3)).map(|_| self.cond(depth - 1)).collect()),
            8 => Cond::Or((0..1 + self.random.below(3)).map(|_| self.cond(depth - 1)).collect()),
            _ => Cond::Const(self.random.chance(50)),
        }
    }

    fn cert(&mut self) -> Option<Box<Cert>> {
        self.random.chance(50).then(|| {
            let subject = self.random.word(&["CN=ann", "CN=bob"]).to_owned();
            let san = self.random.pick(&[None, Some("CN=ann")]).map(str::to_owned);
            Box::new(Cert { subject, san, ..Cert::default() })
        })
    }

    pub(super) fn field(&mut self) -> Field {
        let name = |r: &mut Random| Arc::from(*r.pick(&["x", "y"]));
        match self.random.below(24) {
            0 => Field::Method,
            1 => Field::Path,
            2 => Field::Uri,
            3 => Field::QueryString,
            4 => Field::Size,
            5 => Field::Version,
            6 => Field::Host,
            7 => Field::ClientIp,
            8 => Field::ClientPort,
            9 => Field::TlsSni,
            10 => Field::TlsVersion,
            11 => Field::TlsAlpn,
            12 | 13 => Field::Header(name(&mut self.random)),
            14 => Field::Header("cookie".into()),
            15 | 16 => Field::Cookie(name(&mut self.random)),
            17 | 18 => Field::Query(name(&mut self.random)),
            19 => Field::Capture(Capture::Segment {
                index: self.random.below(3) as u32,
                prefix: self.random.below(2) as u32,
                suffix: [0, 0, 1, 4][self.random.below(4)],
            }),
            20 => Field::Capture(Capture::Splat { from: self.random.below(3) as u32 }),
            22 => Field::ClientCountry,
            21 => Field::TlsCert(*self.random.pick(&[CertPart::Subject, CertPart::San, CertPart::Fingerprint])),
            _ => Field::Capture(Capture::Host { prefix: self.random.below(2) as u32, suffix: 0 }),
        }
    }

    fn test(&mut self) -> (Field, Test) {
        let field = self.field();
        let words: &[&str] = match &field {
            Field::Method => &["GET", "POST", "PUT"],
            Field::Path | Field::Uri => &["/a", "/a/b", "/7", "/a/", "/"],
            Field::QueryString => &["x=a", "y=7", "x=a&y=b"],
            Field::Size | Field::ClientPort => &["7", "100", "50000"],
            Field::Version => &["1.1", "2"],
            Field::Host | Field::TlsSni => &["a.example", "b.example", "a"],
            Field::ClientIp => &["10.0.0.1", "2001:db8::1", "203.0.113.1"],
            Field::TlsVersion => &["1.3", "1.2"],
            Field::TlsAlpn => &["h2"],
            Field::ClientCountry => &["DE", "US"],
            Field::TlsCert(_) => &["CN=ann", "CN=bob", ""],
            Field::Header(_)
            | Field::Cookie(_)
            | Field::Query(_)
            | Field::Capture(_)
            | Field::Call(..)
            | Field::Row(_)
            | Field::Claim(..)
            | Field::Body(..) => &["a", "b", "7", "a7", "a b", "ab", "10.0.0.1", "x=a", ""],
        };
        let mut word = || Arc::from(*self.random.pick(words));
        let (one, two) = (word(), word());
        let test = match (&field, self.random.below(10)) {
            (Field::ClientIp, 0..5) => Test::InNets(self.nets()),
            (Field::Size | Field::ClientPort, 0..5) => self.number(),
            (_, 0) => Test::Present,
            (_, 1) => Test::OneOf(vec![one, two]),
            (_, 2 | 3) => Test::OneOf(vec![one]),
            (_, 4) => Test::StartsWith(one),
            (_, 5) => Test::EndsWith(one),
            (_, 6) => Test::Has(one),
            (_, 7) => Test::Matches(self.random.pick(&self.regexes).clone()),
            (_, 8) => Test::InNets(self.nets()),
            (_, _) => self.number(),
        };
        (field, test)
    }

    fn nets(&mut self) -> Vec<IpNet> {
        let all = [
            "10.0.0.0/8",
            "10.0.0.1/32",
            "0.0.0.0/0",
            "203.0.113.0/24",
            "255.255.255.255/32",
            "2001:db8::/32",
            "::/0",
            "2001:db8::1/128",
        ];
        (0..1 + self.random.below(3)).map(|_| self.random.pick(&all).parse().unwrap()).collect()
    }

    fn number(&mut self) -> Test {
        let order = *self.random.pick(&[Order::Eq, Order::Lt, Order::Le, Order::Gt, Order::Ge]);
        Test::Number(order, *self.random.pick(&[0, 7, 8, 100, 50_000, -1, i64::MAX, i64::MIN]))
    }

    fn relation(&mut self) -> Cond {
        let relation = *self.random.pick(&[Relation::Is, Relation::StartsWith, Relation::EndsWith, Relation::Has]);
        Cond::Relate(Box::new(self.value()), relation, Box::new(self.value()))
    }

    pub(super) fn value(&mut self) -> Value {
        let parts = (0..1 + self.random.below(2))
            .map(|_| {
                if self.random.chance(25) {
                    return Part::Text((*self.random.pick(&["a", "7", ""])).into());
                }
                let fallback = Missing::Value(Value { parts: vec![Part::Text("a".into())] });
                Part::Hole {
                    field: self.field(),
                    transform: if self.random.chance(30) { Transform::Lower } else { Transform::None },
                    encode: Encode::Plain,
                    if_missing: self.random.chance(40).then(|| Box::new(fallback)),
                }
            })
            .collect();
        Value { parts }
    }

    /// A request that is likely to meet the site.
    pub(super) fn request(&mut self, site: &Site) -> Plain {
        let scope = self.random.below(site.scopes.len());
        let entries = &site.scopes[scope].entries;
        let pattern = if entries.is_empty() { None } else { Some(&entries[self.random.below(entries.len())].pattern) };
        let mut path = String::new();
        for segment in pattern.map(|p| &*p.segments).unwrap_or_default() {
            path.push('/');
            let fits: Vec<&str> = WORDS.iter().copied().filter(|word| segment.matches(word)).collect();
            match (segment, &*fits) {
                _ if self.random.chance(7) => path.push_str(self.random.word(WORDS)),
                (Segment::Lit(text), _) => path.push_str(text),
                (Segment::Capture { .. }, []) => path.push_str(self.random.word(WORDS)),
                (Segment::Capture { .. }, fits) => path.push_str(self.random.word(fits)),
            }
        }
        let more = if pattern.is_none_or(|p| p.splat) { 60 } else { 10 };
        while self.random.chance(more) {
            path.push('/');
            path.push_str(self.random.word(WORDS));
        }
        if path.is_empty() || self.random.chance(15) {
            path.push('/');
        }
        let mut headers = Vec::new();
        for name in ["x", "y"] {
            for _ in 0..[0, 1, 1, 1, 1, 2][self.random.below(6)] {
                let value = self.random.pick(&["a", "b", "7", "a7", "a b", "ab", "10.0.0.1", "", "100"]);
                headers.push((name.to_string(), value.as_bytes().to_vec()));
            }
        }
        for _ in 0..[0, 1, 1, 2][self.random.below(4)] {
            let pair = |g: &mut Self| {
                format!("{}={}", g.random.pick(&["x", "y", "z"]), g.random.pick(&["a", "b", "7", "a7", "", "10.0.0.1"]))
            };
            let mut line = pair(self);
            while self.random.chance(40) {
                line = format!("{line}; {}", pair(self));
            }
            headers.push(("cookie".into(), line.into_bytes()));
        }
        if self.random.chance(60) {
            let size = self.random.pick(&["0", "7", "8", "100", "99999999999999999999"]);
            headers.push(("content-length".into(), size.as_bytes().to_vec()));
        }
        if self.random.chance(5) {
            headers.push(("x".into(), vec![0xff, b'a']));
        }
        let query = self.random.chance(75).then(|| {
            let pairs = [
                "x=a",
                "x=%61",
                "y=7",
                "y=b",
                "x=a+b",
                "x=a%20b",
                "%78=7",
                "x",
                "y=",
                "z=1",
                "",
                "x=10.0.0.1",
                "y=%zz",
            ];
            let count = self.random.below(3);
            (0..=count).map(|_| *self.random.pick(&pairs)).collect::<Vec<_>>().join("&")
        });
        let ip: IpAddr = self
            .random
            .pick(&[
                "10.0.0.1",
                "10.9.9.9",
                "203.0.113.1",
                "255.255.255.255",
                "2001:db8::1",
                "2001:db9::",
                "::ffff:10.0.0.1",
            ])
            .parse()
            .unwrap();
        Plain {
            method: (*self.random.pick(&["GET", "POST", "HEAD", "get"])).into(),
            https: self.random.chance(60),
            host: (*self.random.pick(&["a.example", "b.example", "a", "ab.example"])).into(),
            path,
            raw_paths: false,
            query,
            version: self.random.word(&["1.0", "1.1", "2"]),
            headers,
            calls: Default::default(),
            body: None,
            client: (ip, *self.random.pick(&[7, 100, 50_000])),
            country: self.random.pick(&[None, Some("DE"), Some("US")]).map(str::to_owned),
            tls: Handshake {
                alpn: self.random.pick(&[None, Some("h2")]).map(str::to_owned),
                cert: self.cert(),
                ..Handshake::default()
            },
        }
    }
}
