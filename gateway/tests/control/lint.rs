//! `lint`: what it mends, what is allowed, and how it tells programs.

use crate::support::Dir;

const SLIPS: &str = r#"pool web = 10.0.0.1:80
pool api = 10.0.0.2:80

site a.test {
    requrie client.ip in [10.0.0.0/8] else deny 403
    /x   -> wbe
    /x/* -> api
    else -> web
}
"#;

const MENDED: &str = r#"pool web = 10.0.0.1:80
pool api = 10.0.0.2:80

site a.test {
    require client.ip in [10.0.0.0/8] else deny 403
    /x   -> web
    /x/* -> api
    else -> web
}
"#;

/// A warning whose edit may change what is meant.
const SILENT: &str = "pool web = 10.0.0.1:80\n\nsite a.test {\n    /x/* -> web\n}\n";

fn slips() -> Dir {
    let dir = Dir::new();
    dir.write("sites/a.route", SLIPS);
    dir
}

fn read(dir: &Dir, name: &str) -> String {
    std::fs::read_to_string(dir.path().join(name)).unwrap()
}

#[test]
fn fix_mends_until_nothing_is_left() {
    let dir = slips();
    // The pool's name is looked at only once the statement above it is known.
    let (code, out, err) = dir.run(&["lint", "--fix", "--format", "concise"]);
    assert_eq!(read(&dir, "sites/a.route"), MENDED, "{out}{err}");
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(err.contains("fixed: sites/a.route:5: G1001: "), "{err}");
    assert!(err.contains("fixed: sites/a.route:6: G1002: "), "{err}");
    assert!(err.contains("2 findings fixed in 1 file\n"), "{err}");
    let (code, _, err) = dir.run(&["lint", "--fix", "sites/a.route"]);
    assert_eq!(code, Some(0));
    assert!(err.contains("nothing fixed\n"), "{err}");
    let names: Vec<_> = std::fs::read_dir(dir.path().join("sites")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["a.route"], "nothing is left behind");
}

#[test]
fn diff_shows_and_changes_nothing() {
    let dir = slips();
    let (code, out, err) = dir.run(&["lint", "--fix", "--diff"]);
    assert_eq!(code, Some(1), "the files are as they were");
    assert_eq!(read(&dir, "sites/a.route"), SLIPS);
    let expected = "--- sites/a.route
+++ sites/a.route
@@ -2,8 +2,8 @@
 pool api = 10.0.0.2:80
 
 site a.test {
-    requrie client.ip in [10.0.0.0/8] else deny 403
-    /x   -> wbe
+    require client.ip in [10.0.0.0/8] else deny 403
+    /x   -> web
     /x/* -> api
     else -> web
 }
";
    assert_eq!(out, expected);
    assert!(err.contains("2 findings would be fixed in 1 file\n"), "{err}");
}

#[test]
fn what_may_change_the_meaning_waits_for_unsafe() {
    let dir = Dir::new();
    dir.write(
        "sites/a.route",
        "site a.test {\n    else -> redirect 308 \"https://b.test/\"\n    else -> respond 404\n}\n",
    );
    let before = read(&dir, "sites/a.route");
    let (_, out, err) = dir.run(&["lint", "--fix", "--format", "concise"]);
    assert!(out.contains("G2001"), "{out}");
    assert_eq!(read(&dir, "sites/a.route"), before);
    assert!(err.contains("1 finding could be with --unsafe"), "{err}");
    let (code, out, err) = dir.run(&["lint", "--fix", "--unsafe", "--format", "concise"]);
    assert_eq!((code, out.as_str()), (Some(0), ""), "{err}");
    assert_ne!(read(&dir, "sites/a.route"), before);
    let (code, _, err) = dir.run(&["lint", "--unsafe"]);
    assert_eq!(code, Some(2));
    assert!(err.contains("it needs `--fix`"), "{err}");
}

#[test]
fn a_file_beside_the_one_that_is_named_is_left_alone() {
    let dir = slips();
    dir.write("sites/b.route", &SLIPS.replace("a.test", "b.test"));
    dir.run(&["lint", "--fix", "sites/a.route"]);
    assert_eq!(read(&dir, "sites/a.route"), MENDED);
    assert!(read(&dir, "sites/b.route").contains("requrie"));
    // Both, from another directory, and through a link.
    std::os::unix::fs::symlink(dir.path().join("sites/b.route"), dir.path().join("sites/link.rt")).unwrap();
    let sites = dir.path().join("sites");
    dir.run(&["lint", "--fix", sites.to_str().unwrap()]);
    assert!(!read(&dir, "sites/b.route").contains("requrie"));
}

#[test]
fn warnings_are_allowed_with_a_reason() {
    let dir = Dir::new();
    dir.write("sites/a.route", SILENT);
    let deny = ["lint", "--deny", "warnings", "--format", "concise"];
    assert_eq!(dir.run(&deny).0, Some(1));
    dir.write("sites/a.route", &SILENT.replace("site", "# allow G2005: not found is what we say\nsite"));
    let (code, out, _) = dir.run(&deny);
    assert_eq!((code, out.as_str()), (Some(0), ""));
    dir.write("sites/a.route", &SILENT.replace("site", "# allow G2005, G2006: not found is what we say\nsite"));
    let (code, out, _) = dir.run(&deny);
    assert_eq!(code, Some(1));
    assert!(out.contains("sites/a.route:3:16: warning[G9003]: nothing to allow here any more"), "{out}");
    let (code, _, _) = dir.run(&["lint", "--fix"]);
    assert_eq!(code, Some(0));
    assert!(read(&dir, "sites/a.route").contains("# allow G2005: not found"));
}

#[test]
fn a_finding_across_files_is_allowed_in_its_file() {
    let dir = Dir::new();
    dir.write("sites/gateway.route", "gateway {\n    https :443\n}\n");
    let udp = "pool q = 10.0.0.1:443\n\n# allow G4014: HTTP/3 is off here\nudp :443 {\n    idle 1m\n    limit 1/s per client.ip\n    -> q\n}\n";
    dir.write("sites/udp.route", udp);
    let through = "pool vault = 10.0.0.2:443\n\npassthrough v.example.com -> vault\n";
    dir.write("sites/through.route", through);
    let (code, out, _) = dir.run(&["lint", "--deny", "warnings", "--format", "concise"]);
    assert_eq!((code, out.as_str()), (Some(0), ""));
}

#[test]
fn programs_read_sarif_and_workflow_commands() {
    let dir = slips();
    let (code, out, _) = dir.run(&["lint", "-f", "sarif"]);
    assert_eq!(code, Some(1));
    assert!(out.contains("\"version\": \"2.1.0\"") && out.contains("\"uri\": \"sites/a.route\""), "{out}");
    let (code, out, _) = dir.run(&["lint", "-f", "github"]);
    assert_eq!(code, Some(1));
    let first = out.lines().next().unwrap();
    let head =
        "::error file=sites/a.route,line=5,endLine=5,col=5,endColumn=12,title=G1001::unknown statement `requrie`";
    assert!(first.starts_with(head), "{first}");
}

#[test]
fn a_pool_that_only_another_file_uses_is_used() {
    let dir = Dir::new();
    dir.write("sites/pools.route", "pool web = 10.0.0.1:80\n\npool old = 10.0.0.2:80\n");
    dir.write("sites/a.route", "import ./pools\n\nsite a.test {\n    -> pools.web\n}\n");
    let (_, out, _) = dir.run(&["lint", "-f", "concise"]);
    assert_eq!(out, "sites/pools.route:3:6: warning[G1007]: pool `old` is never used\n");
    // What a broken file names is not known.
    dir.write("sites/a.route", "import ./pools\n\nsite a.test {\n    => pools.old\n}\n");
    let (_, out, _) = dir.run(&["lint", "-f", "concise"]);
    assert!(!out.contains("G1007"), "{out}");
    dir.write("sites/a.route", "import ./pools\n\nsite a.test {\n    -> pools.web\n}\n");
    dir.run(&["lint", "--fix", "sites/pools.route"]);
    assert_eq!(read(&dir, "sites/pools.route"), "pool web = 10.0.0.1:80\n");
}

#[test]
fn routes_that_tests_do_not_reach_and_unformatted_files_are_hints() {
    let dir = Dir::new();
    let tested = "site a.test {\n    /x   -> respond 200\n    else -> respond 404\n}\n\n\
                  test \"x\" {\n    request GET https://a.test/x\n    expect respond 200\n}\n";
    dir.write("sites/a.route", tested);
    dir.write("sites/b.route", "site b.test {\n  /x -> respond 200\n  else -> respond 404\n}\n");
    let (code, out, _) = dir.run(&["lint", "-f", "concise", "--deny", "warnings"]);
    assert_eq!(code, Some(0));
    let expected = "sites/a.route:3:5: info[G9001]: no test reaches this route (coverage 50 %)\n\
                    sites/b.route:2:1: info[G9004]: not formatted\n";
    assert_eq!(out, expected);
}

#[test]
fn explain_knows_what_comes_later_and_what_is_meant() {
    let dir = Dir::new();
    let (code, out, _) = dir.run(&["lint", "--explain", "G5007"]);
    assert_eq!(code, Some(0));
    assert!(out.starts_with("# G5007: ") && out.contains("planned"), "{out}");
    let (code, _, err) = dir.run(&["lint", "--explain", "G200"]);
    assert_eq!(code, Some(2));
    assert!(err.contains("did you mean G200"), "{err}");
}
