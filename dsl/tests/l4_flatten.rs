//! Blocks written out into a list of entries mean what the blocks mean: random items against a plain
//! recursive reading of them.
#![allow(clippy::unwrap_used)] // a test that cannot read its case fails

use dsl::syntax::span::{FileId, Loc};
use dsl::tree::l4::{Bound, Entry, Facts, Rules, Step, Target};
use std::fmt::Write as _;
use std::net::SocketAddr;

/// xorshift64*: the same items and connections on every machine.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % n
    }
}

/// A condition, as written and as read.
enum Test {
    Net(u8),
    Below(u16),
    Name(usize),
    Offers(usize),
    Not(Box<Test>),
    All(Vec<Test>),
    Any(Vec<Test>),
}

const NAMES: [&str; 3] = ["a.example.com", "b.example.com", "c.example.com"];
const PROTOCOLS: [&str; 3] = ["h2", "http/1.1", "acme-tls/1"];

impl Test {
    fn random(dice: &mut Dice, depth: usize) -> Self {
        match dice.below(if depth == 0 { 4 } else { 7 }) {
            0 => Self::Net(u8::try_from(dice.below(4)).unwrap()),
            1 => Self::Below(u16::try_from(dice.below(4) * 10 + 5).unwrap()),
            2 => Self::Name(dice.below(3)),
            3 => Self::Offers(dice.below(3)),
            4 => Self::Not(Box::new(Self::random(dice, depth - 1))),
            5 => Self::All((0..2).map(|_| Self::random(dice, depth - 1)).collect()),
            _ => Self::Any((0..2).map(|_| Self::random(dice, depth - 1)).collect()),
        }
    }

    fn text(&self) -> String {
        let join = |all: &[Self], word: &str| {
            format!("({})", all.iter().map(Self::text).collect::<Vec<_>>().join(&format!(" {word} ")))
        };
        match self {
            Self::Net(n) => format!("client.ip in [10.{n}.0.0/16]"),
            Self::Below(n) => format!("client.port < {n}"),
            Self::Name(n) => format!("tls.sni is \"{}\"", NAMES[*n]),
            Self::Offers(n) => format!("tls.alpn has \"{}\"", PROTOCOLS[*n]),
            Self::Not(inner) => format!("not ({})", inner.text()),
            Self::All(all) => join(all, "and"),
            Self::Any(all) => join(all, "or"),
        }
    }

    fn holds(&self, c: &Connection) -> bool {
        match self {
            Self::Net(n) => c.net == *n,
            Self::Below(n) => c.port < *n,
            Self::Name(n) => c.name == *n,
            Self::Offers(n) => c.offers.contains(n),
            Self::Not(inner) => !inner.holds(c),
            Self::All(all) => all.iter().all(|t| t.holds(c)),
            Self::Any(all) => all.iter().any(|t| t.holds(c)),
        }
    }
}

struct Connection {
    net: u8,
    port: u16,
    name: usize,
    offers: Vec<usize>,
}

/// A policy: `require` with its condition, or `limit` with a number that no other has.
enum Policy {
    Require(Test),
    Limit(u32),
}

struct Block {
    policies: Vec<Policy>,
    routes: Vec<(Option<Test>, Body)>,
}

enum Body {
    To(usize),
    Deny,
    Block(Block),
}

impl Block {
    fn random(dice: &mut Dice, depth: usize, limits: &mut u32) -> Self {
        let policies = (0..dice.below(3))
            .map(|_| {
                if dice.below(2) == 0 {
                    return Policy::Require(Test::random(dice, 1));
                }
                *limits += 1;
                Policy::Limit(*limits)
            })
            .collect();
        let mut routes: Vec<(Option<Test>, Body)> =
            (0..=dice.below(4)).map(|_| (Some(Test::random(dice, 2)), Body::random(dice, depth, limits))).collect();
        if dice.below(2) == 0 {
            routes.push((None, Body::random(dice, depth, limits)));
        }
        Self { policies, routes }
    }

    fn write(&self, out: &mut String, indent: usize) {
        let pad = "    ".repeat(indent);
        for policy in &self.policies {
            match policy {
                Policy::Require(test) => writeln!(out, "{pad}require {}", test.text()).unwrap(),
                Policy::Limit(n) => writeln!(out, "{pad}limit {n} at-once per client.ip").unwrap(),
            }
        }
        for (test, body) in &self.routes {
            let head = test.as_ref().map_or("else".into(), |test| format!("when {}", test.text()));
            match body {
                Body::To(pool) => writeln!(out, "{pad}{head} -> p{pool}").unwrap(),
                Body::Deny => writeln!(out, "{pad}{head} -> deny").unwrap(),
                Body::Block(block) => {
                    writeln!(out, "{pad}{head} {{").unwrap();
                    block.write(out, indent + 1);
                    writeln!(out, "{pad}}}").unwrap();
                }
            }
        }
    }

    /// What becomes of a connection that entered: the policies it passes, and where it goes.
    fn read(&self, c: &Connection, passed: &mut Vec<String>) -> String {
        passed.extend(self.policies.iter().map(|policy| match policy {
            Policy::Require(test) => format!("require {}", test.holds(c)),
            Policy::Limit(n) => format!("limit {n}"),
        }));
        match self.route(c) {
            Some(Body::To(pool)) => format!("p{pool}"),
            Some(Body::Block(block)) => block.read(c, passed),
            // What enters a block is answered in it.
            Some(Body::Deny) | None => "deny".into(),
        }
    }

    /// The first route whose condition holds.
    fn route(&self, c: &Connection) -> Option<&Body> {
        let holds = |test: &Option<Test>| test.as_ref().is_none_or(|test| test.holds(c));
        self.routes.iter().find(|(test, _)| holds(test)).map(|(_, body)| body)
    }
}

impl Body {
    fn random(dice: &mut Dice, depth: usize, limits: &mut u32) -> Self {
        match dice.below(if depth == 0 { 4 } else { 7 }) {
            0..=2 => Self::To(dice.below(3)),
            3 => Self::Deny,
            _ => Self::Block(Block::random(dice, depth - 1, limits)),
        }
    }
}

/// Asks an item's entries about a connection.
fn with<T>(c: &Connection, ask: impl FnOnce(&Facts<'_>) -> T) -> T {
    let client: SocketAddr = format!("10.{}.0.1:{}", c.net, c.port).parse().unwrap();
    let alpn: Vec<Box<str>> = c.offers.iter().map(|n| PROTOCOLS[*n].into()).collect();
    let local = "192.0.2.1:443".parse().unwrap();
    ask(&Facts { client, local, sni: Some(NAMES[c.name]), alpn: &alpn })
}

fn entry<'r>(rules: &'r Rules, c: &Connection) -> Option<&'r Entry> {
    with(c, |facts| rules.decide(facts))
}

/// What the entries say of a connection, in the same words.
fn decided(rules: &Rules, c: &Connection) -> (Option<String>, Vec<String>) {
    let Some(entry) = entry(rules, c) else { return (None, Vec::new()) };
    let passed = entry.steps.iter().map(|step| match step {
        Step::Require { cond, .. } => format!("require {}", with(c, |facts| facts.hold(cond))),
        Step::Limit(limit) => match limit.bound {
            Bound::AtOnce(n) => format!("limit {n}"),
            Bound::Rate { .. } | Bound::Bytes(_) => unreachable!("none is written"),
        },
    });
    let target = match &entry.target {
        Target::Pool(pool) => rules.pools[pool.0 as usize].name.to_string(),
        Target::Split { .. } => unreachable!("none is written"),
        Target::Deny => "deny".into(),
    };
    (Some(target), passed.collect())
}

/// An item of these statements.
fn written(block: &Block) -> String {
    let mut text = String::new();
    for n in 0..3 {
        writeln!(text, "pool p{n} = 10.9.0.1:1").unwrap();
    }
    text.push_str("\npassthrough *.example.com {\n");
    block.write(&mut text, 1);
    text.push_str("}\n");
    text
}

fn connection(dice: &mut Dice) -> Connection {
    Connection {
        net: u8::try_from(dice.below(5)).unwrap(),
        port: u16::try_from(dice.below(50)).unwrap(),
        name: dice.below(3),
        offers: (0..dice.below(3)).map(|_| dice.below(3)).collect(),
    }
}

fn unit(text: &str) -> dsl::Unit<'_> {
    dsl::Unit { file: FileId(0), path: "sites/a.route", text, gateway: false, modules: &dsl::NoModules }
}

#[test]
fn entries_mean_what_nested_blocks_mean() {
    let mut dice = Dice(0x5eed_0000_0001);
    let (mut asked, mut refused, mut deep) = (0, 0, 0);
    for _ in 0..200 {
        let block = Block::random(&mut dice, 3, &mut 0);
        let text = written(&block);
        // Random entries are often dead, which is an error of the lints: the checker alone is asked.
        let checked = dsl::check(&unit(&text));
        assert!(checked.diagnostics.is_empty(), "{text}\n{:?}", checked.diagnostics);
        let rules = &checked.passthroughs[0].rules;
        deep = deep.max(rules.entries.iter().map(|e| e.steps.len()).max().unwrap());
        for _ in 0..200 {
            let c = connection(&mut dice);
            let mut passed = Vec::new();
            // What nothing in the item takes is refused before its policies.
            let target = block.route(&c).map(|_| block.read(&c, &mut passed));
            asked += 1;
            refused += usize::from(target.as_deref().is_none_or(|target| target == "deny"));
            assert_eq!(decided(rules, &c), (target, passed), "{text}");
        }
    }
    assert!(asked == 40_000 && refused > 5_000 && deep > 5, "{asked} {refused} {deep}");
}

/// The lints speak of the same entries: what they call dead takes no connection, and what is missed
/// is said.
#[test]
fn what_is_called_dead_takes_nothing() {
    let mut dice = Dice(0x5eed_0000_0002);
    let (mut dead, mut missed) = (0, 0);
    for _ in 0..100 {
        let block = Block::random(&mut dice, 2, &mut 0);
        let text = written(&block);
        let rules = dsl::check(&unit(&text)).passthroughs[0].rules.clone();
        let found = dsl::compile(&unit(&text)).diagnostics;
        let said = |code: &str| found.iter().filter(|d| d.code == code).map(|d| d.primary.loc).collect::<Vec<_>>();
        let never: Vec<Loc> = said("G2001").into_iter().chain(said("G1013")).collect();
        dead += never.len();
        for _ in 0..200 {
            let c = connection(&mut dice);
            match entry(&rules, &c) {
                Some(entry) => assert!(!never.contains(&entry.loc), "{text}"),
                None => {
                    missed += 1;
                    assert_eq!(said("G2005").len(), 1, "{text}");
                }
            }
        }
    }
    assert!(dead > 20 && missed > 1_000, "{dead} {missed}");
}
