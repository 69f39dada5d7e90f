//! What checking costs: files parsed, checked, compiled and linted, and inputs that are meant to hurt the parser.
//!
//! `cargo run --release -p sluice-dsl --example lint_bench`
//!
//! With a directory as its argument it writes the files of the first shape there instead, for `sluice lint`.

use dsl::syntax::span::FileId;
use dsl::{NoModules, Unit, compile};
use std::fmt::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

fn main() {
    if let Some(dir) = std::env::args().nth(1) {
        write_files(std::path::Path::new(&dir));
        return;
    }
    let files: Vec<String> = (0..10_000).map(ten_routes).collect();
    let (took, findings) = together(&files);
    println!("10 000 sites x 10 routes, two threads   {:>9.1} ms   {findings} findings", ms(took));
    let start = Instant::now();
    let items: usize = files.iter().map(|text| dsl::syntax::parse(FileId(0), text).ast.items.len()).sum();
    println!("parsing alone of them, one thread       {:>9.1} ms   {items} items", ms(start.elapsed()));
    let (took, findings) = alone(&files[17]);
    println!("one file of them                        {:>9.3} ms   {findings} findings", ms(took));
    for (name, text) in [
        ("1 site x 100 000 literal routes", many(|n| format!("/page-{n}/x -> a"))),
        ("1 site x 100 000 with captures", many(|n| format!("/blog/topic-{n}/{{slug}} -> a"))),
        ("1 site x 100 000 of all kinds", many(mixed)),
        (
            "1 site x 100 000 that overlap captures",
            many(|n| match n % 1000 {
                0 => format!("/area-{n}/{{page}} -> a"),
                _ => format!("/area-{}/page-{n} -> b", n / 1000 * 1000),
            }),
        ),
    ] {
        let (took, findings) = alone(&text);
        println!("{name:<40}{:>9.1} ms   {findings} findings", ms(took));
    }
    for (name, text) in hurtful() {
        let start = Instant::now();
        let parsed = dsl::syntax::parse(FileId(0), &text);
        let took = start.elapsed();
        let said = parsed.diagnostics.len();
        println!("parse 1 MB of {name:<26}{:>9.1} ms   {said} findings", ms(took));
    }
}

fn ms(took: Duration) -> f64 {
    took.as_secs_f64() * 1000.0
}

fn alone(text: &str) -> (Duration, usize) {
    let start = Instant::now();
    let unit = Unit { file: FileId(0), path: "sites/a.route", text, gateway: false, modules: &NoModules };
    let findings = compile(&unit).diagnostics.len();
    (start.elapsed(), findings)
}

/// All files, on two threads that each take the next one.
fn together(files: &[String]) -> (Duration, usize) {
    let (next, findings) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(text) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    findings.fetch_add(alone(text).1, Ordering::Relaxed);
                }
            });
        }
    });
    (start.elapsed(), findings.into_inner())
}

/// A site of ten routes: literals, captures, types, conditions, a block with a check.
fn ten_routes(n: usize) -> String {
    format!(
        "pool web = 10.0.1.{}:3000\npool api = 10.0.2.{}:8080\n\nsite tenant-{n}.example.com {{\n    \
         /                    -> web\n    /about/*             -> web\n    /static/*            -> web\n    \
         /u/{{id:int}}          -> api\n    /u/{{name}}/posts/*    -> api\n    /img/{{name}}.png      -> web\n    \
         /open/v{n}/* when method in [GET, HEAD] -> api\n    /api/v{n}/* {{\n        \
         require client.ip in [10.0.0.0/8] else deny 403\n        -> api\n    }}\n    \
         /search when query.q -> api\n    else                 -> respond 404\n}}\n",
        n % 250 + 1,
        n % 250 + 1,
    )
}

fn many(route: impl Fn(usize) -> String) -> String {
    let mut text = String::from("pool a = 10.0.0.1:80\npool b = 10.0.0.2:80\n\nsite a.example.com {\n");
    for n in 0..100_000 {
        let _ = writeln!(text, "    {}", route(n));
    }
    text.push_str("    else -> respond 404\n}\n");
    text
}

fn mixed(n: usize) -> String {
    match n % 5 {
        0 => format!("/page-{n} -> a"),
        1 => format!("/api/v{n}/* -> b"),
        2 => format!("/blog/topic-{n}/{{slug}} -> a"),
        3 => format!("/shop/catalogue/c{n}/items when method in [GET, HEAD] -> b"),
        _ => format!("/static-{n}/* -> a"),
    }
}

/// A megabyte each of what parsers are slow at.
fn hurtful() -> Vec<(&'static str, String)> {
    const SIZE: usize = 1_000_000;
    let filled = |start: &str, unit: &str, end: &str| {
        format!("{start}{}{end}", unit.repeat((SIZE - start.len() - end.len()) / unit.len()))
    };
    let cond = |unit: &str| filled("site a.example.com {\n    /x when ", unit, "method is GET -> respond 200\n}\n");
    vec![
        ("[", filled("", "[", "")),
        ("(", filled("", "(", "")),
        ("{", filled("", "{", "")),
        ("[ in a list", filled("site a.example.com {\n    require client.ip in ", "[", "\n}\n")),
        ("( in a condition", cond("(")),
        ("not", cond("not ")),
        ("and", cond("method is GET and ")),
        ("{ in a text", filled("site a.example.com {\n    /x -> respond 200 \"", "{", "\"\n}\n")),
        ("blocks", filled("site a.example.com {\n", "/x {\n", "}\n")),
        ("a text without end", filled("site a.example.com {\n    /x -> respond 200 \"", "x", "\n}\n")),
        ("a text", filled("site a.example.com {\n    /x -> respond 200 \"", "x", "\"\n}\n")),
        ("captures", filled("site a.example.com {\n    ", "/{a}", " -> respond 200\n}\n")),
        ("open captures", filled("site a.example.com {\n    /", "{a:", " -> respond 200\n}\n")),
        ("quotes", filled("", "\"", "")),
        ("comments", filled("", "# x\n", "")),
        ("commas", filled("pool a = ", "10.0.0.1:80, ", "10.0.0.1:80\n")),
    ]
}

fn write_files(dir: &std::path::Path) {
    std::fs::create_dir_all(dir).expect("the directory can be made");
    for n in 0..10_000 {
        std::fs::write(dir.join(format!("tenant-{n}.route")), ten_routes(n)).expect("it can be written to");
    }
}
