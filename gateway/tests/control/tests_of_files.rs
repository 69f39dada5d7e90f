//! `sluice test`, and tests of files that decide whether `run` loads them.

use crate::support::Dir;

const SHOP: &str = r#"pool app = 127.0.0.1:3000

site shop.test {
    /admin/* {
        require client.ip in [10.0.0.0/8] else deny 403
        -> app
    }
    else -> respond 200 "hello"
}

test "the office" {
    request GET https://shop.test/admin/x from 10.1.2.3
    expect pool app
}

test "everybody" {
    request GET https://shop.test/admin/x
    expect pool app
    expect 200
}
"#;

#[test]
fn what_is_not_as_expected_is_printed_with_the_way_of_the_request() {
    let dir = Dir::new();
    dir.write("sites/shop.route", SHOP);
    let (code, out, err) = dir.run(&["test"]);
    let expected = "\
sites/shop.route
  ok      the office
  FAILED  everybody  [sites/shop.route:16]
    request   GET https://shop.test/admin/x  [sites/shop.route:17]
    expected  pool app  [sites/shop.route:18]
    got       deny 403
      host       shop.test  [sites/shop.route:3]
      path       /admin/x
      routes     /admin/*  · enters this block  [sites/shop.route:4]
                   /admin/*  · takes it  [sites/shop.route:6]
      policies   require client.ip in [10.0.0.0/8]  · does not hold  [sites/shop.route:5]
      answer     deny 403  [sites/shop.route:5]
    expected  200  [sites/shop.route:19]
    got       deny 403
";
    assert!(out == expected, "expected:\n{expected}\nprinted:\n{out}\n{err}");
    assert_eq!(err, "2 tests run: 1 ok, 1 failed\n");
    assert_eq!(code, Some(1));
    // `explain` answers all the same, `lint` says it.
    let (_, out, _) = dir.run(&["explain", "https://shop.test/"]);
    assert!(out.contains("respond 200 \"hello\""), "{out}");
    let (code, out, _) = dir.run(&["lint", "--format", "concise"]);
    let first = out.lines().next().unwrap_or_default();
    assert_eq!(first, "sites/shop.route:18:5: error[G9007]: test \"everybody\" fails: expected pool app");
    assert_eq!(code, Some(1));
}

#[test]
fn one_file_or_all_of_them_pass() {
    let dir = Dir::new();
    dir.write("sites/shop.route", SHOP);
    dir.write(
        "sites/other.route",
        &SHOP
            .replace("shop.test", "other.test")
            .replace("    expect pool app\n    expect 200\n", "    expect deny 403\n"),
    );
    let (code, out, err) = dir.run(&["test", "sites/other.route"]);
    assert_eq!(out, "sites/other.route\n  ok      the office\n  ok      everybody\n");
    assert_eq!((code, err.as_str()), (Some(0), "2 tests run: 2 ok\n"));
}

#[test]
fn a_file_that_does_not_compile_cannot_be_tested() {
    let dir = Dir::new();
    dir.write("sites/shop.route", &SHOP.replace("-> app", "-> ap"));
    let (code, _, err) = dir.run(&["test"]);
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("no pool named `ap`"), "{err}");
    assert!(
        err.contains("error: sites/shop.route does not load (sites/shop.route:6), so its tests were not run"),
        "{err}"
    );
    let (code, _, err) = dir.run(&["test", "nowhere"]);
    assert_eq!(code, Some(2), "{err}");
}

#[test]
fn tests_that_are_off_for_run_are_run_here() {
    let dir = Dir::new();
    dir.write("sites/shop.route", SHOP);
    dir.write("sites/gateway.route", "gateway {\n    tests off\n}\n");
    assert_eq!(dir.run(&["test"]).0, Some(1));
    let (code, out, _) = dir.run(&["lint"]);
    assert_eq!(code, Some(0), "{out}");
}

#[test]
fn a_secret_that_is_not_at_hand_is_a_hint_of_lint() {
    let dir = Dir::new();
    dir.write("sites/gateway.route", "gateway {\n    secrets from \"../secrets\"\n}\n");
    let pool = "pool web {\n    10.0.0.1:80\n    sticky cookie \"route\" key secret.sticky\n}\n";
    dir.write("sites/a.route", &format!("{pool}site a.test {{\n    else -> web\n}}\n"));
    let (code, out, err) = dir.run(&["lint", "--format", "concise", "--deny", "warnings"]);
    assert!(out.contains("sites/a.route:1:6: info[G3025]: secret `sticky` cannot be had"), "{out}{err}");
    assert_eq!(code, Some(0));
    dir.write("secrets/sticky", "hunter2\n");
    let (_, out, err) = dir.run(&["lint", "--format", "concise"]);
    assert!(!out.contains("G3025") && !out.contains("hunter2"), "{out}{err}");
}
