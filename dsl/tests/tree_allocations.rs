//! A decision allocates nothing: counted, with every kind of pattern, column and field.
#![allow(unsafe_code, reason = "a global allocator that counts can only be written so")]

use dsl::tree::ir::*;
use dsl::tree::request::Plain;
use dsl::tree::{Decision, HostIndex, compile};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is handed to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn capture(prefix: &str, class: Class, suffix: &str) -> Segment {
    Segment::Capture { prefix: prefix.into(), class, suffix: suffix.into() }
}

fn lit(text: &str) -> Segment {
    Segment::Lit(text.into())
}

fn regex(source: &str) -> Regex {
    Regex::new(source).expect("a sound expression")
}

fn is(field: Field, text: &str) -> Cond {
    Cond::Test(field, Test::OneOf(vec![text.into()]))
}

fn site() -> Site {
    let header = |name: &str| Field::Header(name.into());
    let cookie = |name: &str| Field::Cookie(name.into());
    let query = |name: &str| Field::Query(name.into());
    let hole = |field| Value {
        parts: vec![Part::Hole { field, transform: Transform::Lower, encode: Encode::Plain, if_missing: None }],
    };
    let segment = |index| Field::Capture(Capture::Segment { index, prefix: 0, suffix: 0 });
    let guards = vec![
        is(Field::Method, "PATCH"),
        Cond::Test(Field::ClientIp, Test::InNets(vec!["10.0.0.0/8".parse().expect("a network")])),
        Cond::Test(Field::ClientIp, Test::OneOf(vec!["192.0.2.1".into()])),
        Cond::Test(header("x"), Test::Matches(regex("[0-9]+"))),
        Cond::Test(header("x"), Test::StartsWith("no".into())),
        Cond::Test(header("y"), Test::Has("none".into())),
        Cond::Test(Field::Size, Test::Number(Order::Gt, 1_000_000)),
        Cond::Test(query("page"), Test::Number(Order::Lt, 3)),
        is(query("q"), "a b c"),
        Cond::Test(query("q"), Test::EndsWith("nothing".into())),
        is(cookie("canary"), "always"),
        Cond::Test(cookie("sid"), Test::Matches(regex("[a-f]{32}"))),
        is(Field::Uri, "/never?"),
        is(segment(1), "a b"),
        Cond::Relate(Box::new(hole(cookie("csrf"))), Relation::Is, Box::new(hole(header("x-csrf")))),
        Cond::Not(Box::new(Cond::Test(Field::TlsSni, Test::Present))),
    ];
    let mut patterns = vec![
        PathPattern { segments: vec![], splat: true },
        PathPattern { segments: vec![lit("a"), Segment::any()], splat: false },
        PathPattern { segments: vec![lit("a"), capture("", Class::Int, "")], splat: true },
        PathPattern { segments: vec![lit("a"), capture("", Class::Uuid, "")], splat: true },
        PathPattern { segments: vec![lit("a"), capture("", Class::Regex(regex("[a-z +]+")), "")], splat: false },
        PathPattern { segments: vec![lit("a"), capture("img-", Class::Any, ".png")], splat: false },
        PathPattern { segments: vec![lit("deep"), lit("er"), lit("and"), lit("deeper")], splat: false },
    ];
    patterns.extend((0..40).map(|n| PathPattern { segments: vec![lit(&format!("wide-{n}"))], splat: false }));
    let mut entries = Vec::new();
    for pattern in &patterns {
        for guard in guards.iter().cloned().chain([Cond::Const(true)]) {
            let target = Target::Plan(PlanIdx(entries.len() as u32));
            entries.push(Entry {
                pattern: pattern.clone(),
                guard,
                target,
                pathless: false,
                loc: Default::default(),
                names: Vec::new(),
            });
        }
    }
    let miss = PlanIdx(entries.len() as u32);
    Site {
        hosts: Vec::new(),
        scopes: vec![Scope { pattern: patterns[0].clone(), entries, miss, protected: false, loc: Default::default() }],
        plans: Vec::new(),
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
            handshake: Handshake::default(),
        },
        loc: Default::default(),
    }
}

#[test]
fn a_decision_allocates_nothing() {
    let program = Arc::new(compile(Arc::new(site())).expect("the site is sound"));
    assert!(program.size().automaton);
    let mut hosts = HostIndex::seeded(7);
    let label = HostHead::Label(capture("pr-", Class::Int, ""));
    for pattern in [
        HostPattern::of_literal("app.example.com"),
        HostPattern { head: label, parent: "example.com".into() },
        HostPattern { head: HostHead::Many, parent: "example.org".into() },
    ] {
        hosts.insert(&pattern, program.clone());
    }
    let paths = [
        "/",
        "/a/7",
        "/a/7/x/",
        "/a/123e4567-e89b-12d3-a456-426614174000",
        "/a/b%20c",
        "/a/img-x.png",
        "/deep/er/and/deeper",
        "/deep/er/and",
        "/wide-17",
        "/wide-99",
        "/nowhere/at/all",
    ];
    let header = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
    let many = vec![
        header("x", "value"),
        header("y", "one"),
        header("y", "two"),
        header("cookie", "canary=never; sid=0; csrf=T0KEN"),
        header("x-csrf", "other"),
        header("content-length", "12"),
    ];
    let mut requests = Vec::new();
    for host in ["app.example.com", "pr-7.example.com", "a.b.example.org"] {
        for path in paths {
            for headers in [Vec::new(), many.clone()] {
                for query in [None, Some("page=7&q=a%20b+d&z")] {
                    requests.push(Plain {
                        host: host.into(),
                        path: path.into(),
                        query: query.map(str::to_owned),
                        headers: headers.clone(),
                        ..Plain::default()
                    });
                }
            }
        }
    }
    let before = COUNT.get();
    let mut plans = 0;
    for request in &requests {
        let program = hosts.get(&request.host).expect("every host is served");
        plans += usize::from(matches!(program.decide(request), Decision::Plan(_)));
    }
    assert_eq!(COUNT.get() - before, 0, "allocations in {} decisions", requests.len());
    assert_eq!(plans, requests.len());
    drop(std::hint::black_box(vec![0u8; 1]));
    assert_ne!(COUNT.get() - before, 0, "the allocator counts");
}

#[test]
fn a_look_up_in_a_table_allocates_nothing() {
    let table = |key: KeyType, rows: &str| {
        let schema = Schema { key, value: ValueType::Text, among: Vec::new() };
        let rows = dsl::tree::rows::read(&schema, rows).expect("sound rows");
        Arc::new(Table::new("t".into(), schema, None, Default::default(), rows))
    };
    let texts: String = (0..1000).map(|n| format!("tenant-{n},{n}\n")).collect();
    let by = |table: &Arc<Table>, field: Field| Lookup {
        table: Arc::clone(table),
        key: vec![KeyText::Field { field, lower: false }],
    };
    let lookups = [
        by(&table(KeyType::Text, &texts), Field::Header("x-tenant".into())),
        by(&table(KeyType::Host, "*.example.com,one\n**.com,many\n"), Field::Host),
        by(&table(KeyType::Net, "10.0.0.0/8,a\n10.1.0.0/16,b\n"), Field::ClientIp),
    ];
    let request = Plain {
        host: "a.example.com".into(),
        headers: vec![("x-tenant".into(), b"tenant-17".to_vec())],
        client: ("10.1.2.3".parse().expect("an address"), 1),
        ..Plain::default()
    };
    for (lookup, expected) in lookups.iter().zip(["17", "one", "b"]) {
        // The first one on a thread makes room for what it holds.
        let _ = lookup.find(&request);
        let before = COUNT.get();
        let found = lookup.find(&request);
        assert_eq!(COUNT.get() - before, 0, "{lookup}");
        assert!(matches!(&found, dsl::tree::rows::Found::Row(cell) if cell.value() == expected), "{lookup}");
    }
}
