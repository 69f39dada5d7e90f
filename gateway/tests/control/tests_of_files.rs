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

/// What docs/testing.md prints below its commands is what they print.
#[test]
fn the_page_about_tests_says_what_happens() {
    let page = include_str!("../../../docs/testing.md");
    let file = page.split("```route\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let dir = Dir::new();
    dir.write("sites/shop.route", file);
    let mut ran = 0;
    for block in page.split("```\n$ sluice ").skip(1) {
        let (command, printed) = block.split("```").next().unwrap().split_once('\n').unwrap();
        let words: Vec<&str> = command.split(' ').collect();
        let (_, out, err) = dir.run(&words);
        assert_eq!(format!("{out}{err}"), printed, "sluice {command}");
        ran += 1;
    }
    assert_eq!(ran, 2);
}

#[test]
fn coverage_can_be_too_low() {
    let dir = Dir::new();
    dir.write("sites/shop.route", &SHOP.replace("    expect pool app\n    expect 200\n", "    expect deny 403\n"));
    let (code, out, err) = dir.run(&["test", "--coverage", "--fail-under", "75"]);
    assert!(out.ends_with(
        "coverage 75.0 %  1 of 2 routes, 2 of 2 outcomes of conditions\n  sites/shop.route:8  never reached  /* (else)\n"
    ), "{out}");
    assert_eq!((code, err.as_str()), (Some(0), "2 tests run: 2 ok\n"));
    let (code, _, err) = dir.run(&["test", "--coverage", "--fail-under", "75.1%"]);
    assert_eq!(code, Some(1));
    assert!(err.ends_with("error: the coverage is 75.0 %, below 75.1 %\n"), "{err}");
    // A file without tests counts; one that is named counts alone.
    dir.write("sites/other.route", "site other.test {\n    /x -> respond 200\n    else -> respond 404\n}\n");
    let (_, out, _) = dir.run(&["test", "--coverage"]);
    assert!(out.contains("coverage 50.0 %  1 of 4 routes"), "{out}");
    let (_, out, _) = dir.run(&["test", "--coverage", "sites/shop.route"]);
    assert!(out.contains("coverage 75.0 %") && !out.contains("other.route"), "{out}");
    assert_eq!(dir.run(&["test", "--coverage", "--fail-under", "101"]).0, Some(2));
    assert_eq!(dir.run(&["test", "--fail-under", "10"]).0, Some(2));
}

#[test]
fn programs_read_the_result_as_json_or_as_junit() {
    let dir = Dir::new();
    dir.write("sites/shop.route", SHOP);
    dir.write("sites/broken.route", "site broken.test {\n    else -> nowhere\n}\n");
    let (code, out, _) = dir.run(&["test", "--json", "--coverage"]);
    assert_eq!(code, Some(2));
    let result: serde_json::Value = serde_json::from_str(&out).unwrap();
    let (office, everybody) = (&result["cases"][0], &result["cases"][1]);
    assert_eq!(
        (&office["title"], &office["ok"], &office["kind"]),
        (&"the office".into(), &true.into(), &"test".into())
    );
    assert_eq!(everybody["failures"][0]["got"], "deny 403");
    assert_eq!(everybody["failures"][0]["request"]["place"], "sites/shop.route:17");
    assert_eq!(everybody["failures"][0]["trace"][4]["place"], "sites/shop.route:5");
    assert_eq!(result["refused"][0]["file"], "sites/broken.route");
    assert_eq!(result["coverage"]["missing"][0]["missing"], "never reached");
    let (code, out, _) = dir.run(&["test", "--format", "junit"]);
    assert_eq!(code, Some(2));
    for part in [
        "<testsuites tests=\"3\" failures=\"1\" errors=\"1\">",
        "<testcase classname=\"sites/shop.route\" name=\"the office\"/>",
        "<failure message=\"expected pool app, got deny 403\">sites/shop.route:18",
        "<error message=\"no pool named `nowhere`\">sites/broken.route:2</error>",
    ] {
        assert!(out.contains(part), "{part} in\n{out}");
    }
}

#[test]
fn tests_are_chosen_by_their_title() {
    let dir = Dir::new();
    dir.write("sites/shop.route", SHOP);
    let (code, out, err) = dir.run(&["test", "--filter", "office"]);
    assert_eq!(out, "sites/shop.route\n  ok      the office\n");
    assert_eq!((code, err.as_str()), (Some(0), "1 test run: 1 ok\n"));
}

#[test]
fn connections_of_a_file_are_tested_and_decide() {
    let dir = Dir::new();
    let file = "pool pg = 10.0.0.1:5432\n\ntcp :5432 {\n    require client.ip in [10.0.0.0/8]\n    -> pg\n}\n\ntest \"the office\" {\n    connect tcp :5432 from 10.1.2.3\n    expect pool pg\n    connect tcp :5432\n    expect pool pg\n}\n";
    dir.write("sites/pg.route", file);
    let (code, out, err) = dir.run(&["test"]);
    let expected = "\
sites/pg.route
  FAILED  the office  [sites/pg.route:8]
    request   tcp :5432  [sites/pg.route:11]
    expected  pool pg  [sites/pg.route:12]
    got       deny: a `require` does not hold
      listener   tcp :5432  [sites/pg.route:3]
      entries    else  · takes it  [sites/pg.route:5]
      policies   require client.ip in [10.0.0.0/8]  · does not hold  [sites/pg.route:4]
      answer     refused: a `require` does not hold; the connection is reset  [sites/pg.route:4]
";
    assert!(out == expected, "expected:\n{expected}\nprinted:\n{out}\n{err}");
    assert_eq!(code, Some(1));
    let (_, out, _) = dir.run(&["lint", "--format", "concise"]);
    assert!(out.contains("sites/pg.route:12:5: error[G9007]"), "{out}");
    dir.write(
        "sites/pg.route",
        &file.replace("    connect tcp :5432\n    expect pool pg\n", "    connect tcp :5432\n    expect deny\n"),
    );
    let (code, out, _) = dir.run(&["test", "--coverage", "--fail-under", "100"]);
    assert_eq!(code, Some(0), "{out}");
}
