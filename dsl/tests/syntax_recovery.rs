//! What is kept of a file that is broken in places.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use dsl::Parsed;
use dsl::syntax::ast::{Broken, HostLabel, ItemKind, SegmentPart, StmtKind};
use dsl::syntax::{parse, span::FileId};

fn read(text: &str) -> Parsed {
    parse(FileId(0), text)
}

fn messages(parsed: &Parsed) -> Vec<&str> {
    parsed.diagnostics.iter().map(|d| d.message.as_str()).collect()
}

fn host(broken: &Broken) -> String {
    let label = |label: &HostLabel| match label {
        HostLabel::Parts(parts) => parts
            .iter()
            .map(|part| match part {
                SegmentPart::Lit(text) => text.as_str(),
                SegmentPart::Capture { .. } => "{}",
            })
            .collect::<String>(),
        HostLabel::Star => "*".to_owned(),
        HostLabel::DoubleStar => "**".to_owned(),
    };
    let labels: Vec<String> = broken.hosts[0].node.labels.iter().map(|l| label(&l.node)).collect();
    labels.join(".")
}

#[test]
fn one_broken_item_leaves_the_others() {
    let parsed = read("pool a = 10.0.0.1:80\npool b\npool c = 10.0.0.1:80\n");
    assert_eq!(parsed.ast.items.len(), 2);
    assert_eq!(parsed.diagnostics.len(), 1);
}

#[test]
fn hosts_and_names_of_broken_items_can_be_read() {
    let parsed = read("site Shop.Example.com {\n    /x api\n}\npool api {\n    10.0.0.1\n}\nimport std/auth as a b\n");
    assert_eq!(parsed.ast.items.len(), 0);
    assert_eq!(host(&parsed.ast.broken[0]), "shop.example.com");
    assert_eq!(parsed.ast.broken[1].name.as_ref().unwrap().node, "api");
    assert_eq!(parsed.diagnostics.len(), 3);
}

#[test]
fn an_unclosed_block_ends_at_the_next_item() {
    let parsed =
        read("site a.com {\n    /x {\n        -> a\n    }\n\nlet office = [10.0.0.0/8]\n\npool a = 10.0.0.1:80\n");
    assert_eq!(messages(&parsed), ["the `{` of `site a.com` is never closed"]);
    assert_eq!(parsed.ast.items.len(), 2, "the `let` and the pool are kept");
    assert_eq!(host(&parsed.ast.broken[0]), "a.com");
}

#[test]
fn a_let_at_the_margin_of_a_closed_block_is_its_statement() {
    let parsed = read("site a.com {\nlet x = 1\n-> a\n}\n");
    assert_eq!(messages(&parsed), [""; 0]);
    let ItemKind::Site(site) = &parsed.ast.items[0].kind else { panic!("a site") };
    assert_eq!(site.body.stmts.len(), 2);
}

#[test]
fn a_misplaced_brace_is_found_by_its_indentation() {
    let parsed = read("site a.com {\n    /x {\n        -> a\n    /y -> b\n}\n\npool a = 10.0.0.1:80\n");
    assert_eq!(messages(&parsed), ["the `{` of `/x` is never closed"]);
    assert_eq!(parsed.ast.items.len(), 1);
}

#[test]
fn crlf_tabs_and_a_byte_order_mark_change_no_place() {
    let text = "\u{feff}pool a = 10.0.0.1:80\r\n\r\nsite a.com {\r\n\tuse p(\r\n\t\t1,\r\n\t)\r\n\t-> a\r\n}\r\n";
    let parsed = read(text);
    assert_eq!(messages(&parsed), [""; 0]);
    let ItemKind::Site(site) = &parsed.ast.items[1].kind else { panic!("a site") };
    assert_eq!(&text[site.body.stmts[1].span.range()], "-> a");
    assert_eq!(&text[site.hosts[0].span.range()], "a.com");
}

#[test]
fn two_blanks_end_a_setting_in_a_block_on_one_line() {
    let text = "pool a {\n    10.0.0.1:80\n    tls { name  ledger.internal  trust \"pki/ca.pem\"  pin sha256 \"a\", \"b\"  min 1.3 }\n}\n";
    let parsed = read(text);
    assert_eq!(messages(&parsed), [""; 0]);
    let ItemKind::Pool(pool) = &parsed.ast.items[0].kind else { panic!("a pool") };
    let StmtKind::Tls { body: Some(body), .. } = &pool.body.as_ref().unwrap().stmts[1].kind else { panic!("`tls`") };
    let texts: Vec<&str> = body.stmts.iter().map(|stmt| &text[stmt.span.range()]).collect();
    assert_eq!(texts, ["name  ledger.internal", "trust \"pki/ca.pem\"", "pin sha256 \"a\", \"b\"", "min 1.3"]);
}

#[test]
fn unknown_heads_are_settings_and_words_of_the_language_never() {
    let parsed = read("site a.com {\n    requrie who else deny\n    frob 5s on\n}\n");
    assert_eq!(messages(&parsed), [""; 0]);
    let ItemKind::Site(site) = &parsed.ast.items[0].kind else { panic!("a site") };
    assert!(site.body.stmts.iter().all(|stmt| matches!(stmt.kind, StmtKind::Setting { .. })));
    for word in ["else web", "when 5", "catch all", "use", "require", "redirect 5", "and x", "pool x"] {
        assert!(!read(&format!("site a.com {{\n    {word}\n}}\n")).diagnostics.is_empty(), "{word}");
    }
}

#[test]
fn documentation_is_what_stands_directly_above() {
    let parsed = read("## One.\n##\n##   Two.\npool a = 10.0.0.1:80\n\n## Lost.\n\npool b = 10.0.0.1:80\n");
    assert_eq!(parsed.ast.items[0].doc.as_deref(), Some("One.\n\n  Two."));
    assert_eq!(parsed.ast.items[1].doc, None);
}

#[test]
fn every_finding_of_a_file_is_told_in_one_run() {
    let text =
        "pool a\nsite a.com {\n    /a b\n    /c {\n        /d e\n        else f\n    }\n    else g\n}\ntest x {\n}\n";
    let lines: Vec<usize> = read(text)
        .diagnostics
        .iter()
        .map(|d| text[..d.primary.loc.span.start as usize].matches('\n').count() + 1)
        .collect();
    assert_eq!(lines, [1, 3, 5, 6, 8, 10]);
}
