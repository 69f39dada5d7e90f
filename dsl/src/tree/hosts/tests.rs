use super::*;
use crate::tree::ir::{Class, Regex};

fn label(prefix: &str, class: Class, suffix: &str, parent: &str) -> HostPattern {
    let segment = Segment::Capture { prefix: prefix.into(), class, suffix: suffix.into() };
    HostPattern { head: HostHead::Label(segment), parent: parent.into() }
}

fn many(parent: &str) -> HostPattern {
    HostPattern { head: HostHead::Many, parent: parent.into() }
}

fn index(patterns: &[HostPattern]) -> HostIndex<usize> {
    let mut index = HostIndex::seeded(42);
    for (at, pattern) in patterns.iter().enumerate() {
        assert_eq!(index.insert(pattern, at), None);
    }
    index
}

#[test]
fn rule_09_nearest_domain_then_literal_captures_star_and_double_star() {
    let set = Class::Set(["a".into(), "pr-7".into()].into());
    let index = index(&[
        many(""),
        many("x.com"),
        label("", Class::Any, "", "x.com"),
        label("pr-", Class::Any, "", "x.com"),
        label("pr-", Class::Int, "", "x.com"),
        label("", set, "", "x.com"),
        HostPattern::of_literal("www.x.com"),
        many("b.x.com"),
    ]);
    for (host, expected) in [
        ("www.x.com", 6),
        ("a.x.com", 5),
        ("pr-7.x.com", 5),
        ("pr-8.x.com", 4),
        ("pr-x.x.com", 3),
        ("pr-.x.com", 2),
        ("z.x.com", 2),
        ("b.x.com", 2),
        ("c.b.x.com", 7),
        ("d.c.b.x.com", 7),
        ("c.d.x.com", 1),
        ("x.com", 0),
        ("localhost", 0),
        ("[::1]", 0),
        ("127.0.0.1", 0),
        ("wwwx.com", 0),
    ] {
        assert_eq!(index.get(host), Some(&expected), "{host}");
    }
}

#[test]
fn rule_09_order_does_not_depend_on_arrival() {
    let patterns = [
        label("", Class::Any, "", "x.com"),
        label("", Class::Regex(Regex::new("pr-[0-9]+").unwrap()), "", "x.com"),
        label("pr-", Class::Any, "", "x.com"),
        label("", Class::Int, "", "x.com"),
    ];
    let hosts = ["pr-1.x.com", "pr-z.x.com", "12.x.com", "q.x.com"];
    let mut answers = Vec::new();
    for turn in 0..patterns.len() {
        let mut index = HostIndex::seeded(turn as u64);
        for at in 0..patterns.len() {
            let at = (at + turn) % patterns.len();
            index.insert(&patterns[at], at);
        }
        answers.push(hosts.map(|h| *index.get(h).unwrap()));
    }
    assert!(answers.iter().all(|a| *a == [1, 2, 3, 0]), "{answers:?}");
}

#[test]
fn nothing_answers_for_strangers() {
    let index = index(&[many("x.com"), HostPattern::of_literal("y.com")]);
    for host in ["x.com", "a.y.com", "com", "", "y.com.", "a.xx.com"] {
        assert_eq!(index.get(host), None, "{host}");
    }
}

#[test]
fn a_changed_copy_leaves_the_original_alone() {
    let patterns: Vec<HostPattern> = (0..1000)
        .map(|n| match n % 3 {
            0 => many(&format!("m{n}.com")),
            1 => label("", Class::Any, "-x", &format!("l{n}.com")),
            _ => HostPattern::of_literal(&format!("e{n}.com")),
        })
        .collect();
    let original = index(&patterns);
    let mut copy = original.clone();
    for (at, pattern) in patterns.iter().enumerate() {
        assert_eq!(copy.claim(pattern), Some(&at));
        assert_eq!(copy.remove(pattern), Some(at));
        assert_eq!(copy.remove(pattern), None);
        assert_eq!(copy.claim(pattern), None);
    }
    assert!(copy.is_empty() && copy.iter().next().is_none());
    assert!(copy.depths.iter().all(|n| *n == 0));
    assert_eq!(original.len(), 1000);
    let mut all: Vec<(HostPattern, usize)> = original.iter().map(|(p, v)| (p, *v)).collect();
    all.sort_by_key(|(_, v)| *v);
    assert!(all.iter().map(|(p, _)| p).eq(&patterns));
    let shared = |a: &HostIndex<usize>, b: &HostIndex<usize>| {
        a.shards.iter().zip(b.shards.iter()).filter(|(a, b)| Arc::ptr_eq(a, b)).count()
    };
    let mut one = original.clone();
    assert_eq!(one.insert(&patterns[5], 9), Some(5));
    assert_eq!(shared(&original, &one), SHARDS - 1);
    assert_eq!((original.claim(&patterns[5]), one.claim(&patterns[5])), (Some(&5), Some(&9)));
}

#[test]
fn overlapping_claims_show_a_host() {
    let pr = label("pr-", Class::Any, "", "x.com");
    let index =
        index(&[pr.clone(), label("", Class::Any, "", "x.com"), label("pr-", Class::Int, "", "x.com"), many("x.com")]);
    let eu = label("", Class::Any, "-eu", "x.com");
    let overlap = index.overlapping(&eu).unwrap().unwrap();
    assert_eq!((overlap.pattern, *overlap.value, &*overlap.witness), (pr.clone(), 0, "pr-eu.x.com"));
    assert_eq!(index.overlapping(&label("pr-", Class::Uuid, "", "x.com")), Ok(None), "nested");
    assert_eq!(index.overlapping(&label("", Class::Any, "-eu", "y.com")), Ok(None));
    assert_eq!(index.overlapping(&many("com")), Ok(None));
    let looks = label("", Class::Regex(Regex::new(r"pr\b-7").unwrap()), "", "x.com");
    assert_eq!(index.overlapping(&looks).unwrap_err().1, Undecided::LooksAround);
}
