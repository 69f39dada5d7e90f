//! `lint`, `explain` and `routes`: what they print, to the letter.

use crate::support::Dir;

const SHOP: &str = r#"pool app   = 127.0.0.1:3000, 127.0.0.1:3001
pool admin = 127.0.0.1:4000

policy office() {
    require client.ip in [10.0.0.0/8] else deny 403
    set request header x-office = "yes"
}

site shop.test {
    /old/*rest -> redirect 308 /new/{rest}
    /admin/* {
        use office()
        -> admin at /internal
    }
    /beta/* when header.beta is "1" -> admin
    else -> app
}

site *.test {
    else -> respond 404
}
"#;

fn shop() -> Dir {
    let dir = Dir::new();
    dir.write("sites/shop.route", SHOP);
    dir
}

#[track_caller]
fn prints(dir: &Dir, args: &[&str], expected: &str) {
    let (code, out, err) = dir.run(args);
    assert_eq!(code, Some(0), "{out}{err}");
    let expected: String = expected.lines().skip(1).map(|line| format!("{}\n", line.trim_end())).collect();
    assert!(out == expected, "expected:\n{expected}\nprinted:\n{out}\n{err}");
}

#[test]
fn explain_tells_the_way_of_a_request() {
    let request = "GET https://shop.test/x/..//%61dmin/users?a=1";
    prints(
        &shop(),
        &["explain", request, "--client", "10.1.2.3"],
        r#"
GET https://shop.test/x/..//%61dmin/users?a=1

host       shop.test  [sites/shop.route:9]
           more specific than *.test  [sites/shop.route:19]
path       /admin/users  (spelt /x/..//%61dmin/users by the client)
routes     /admin/*  · enters this block  [sites/shop.route:11]
             /admin/*  · takes it  [sites/shop.route:13]
policies   use office  [sites/shop.route:12]
           require client.ip in [10.0.0.0/8]  · holds  [sites/shop.route:5]
           set request header x-office = "yes"  [sites/shop.route:6]
answer     pool admin: 127.0.0.1:4000  [sites/shop.route:13]
           receives GET /internal?a=1 with host shop.test
"#,
    );
}

#[test]
fn explain_tells_what_refused() {
    prints(
        &shop(),
        &["explain", "GET https://shop.test/beta/x"],
        r#"
GET https://shop.test/beta/x

host       shop.test  [sites/shop.route:9]
           more specific than *.test  [sites/shop.route:19]
path       /beta/x
routes     /beta/* when header.beta is "1"  · no: header.beta is "1" does not hold  [sites/shop.route:15]
           /*  · takes it  [sites/shop.route:16]
answer     pool app: 127.0.0.1:3000, 127.0.0.1:3001  [sites/shop.route:16]
           receives GET /beta/x with host shop.test
"#,
    );
    prints(
        &shop(),
        &["explain", "https://shop.test/admin/x"],
        r#"
GET https://shop.test/admin/x

host       shop.test  [sites/shop.route:9]
           more specific than *.test  [sites/shop.route:19]
path       /admin/x
routes     /admin/*  · enters this block  [sites/shop.route:11]
             /admin/*  · takes it  [sites/shop.route:13]
policies   use office  [sites/shop.route:12]
           require client.ip in [10.0.0.0/8]  · does not hold  [sites/shop.route:5]
answer     deny 403  [sites/shop.route:5]
"#,
    );
}

#[test]
fn explain_tells_refusals_plainly() {
    for (request, said) in [
        ("GET https://shop.test/a%2Fb", "400 encoded slash in the path"),
        ("GET https://shop.test/../..", "400 path above the root"),
        ("GET https://nobody.example/", "404 no site claims nobody.example"),
        ("GET http://shop.test/", "308 to the same address with https"),
        ("GET https://bad_host!/", "400 bad character in the host"),
    ] {
        let (code, out, _) = shop().run(&["explain", request]);
        assert_eq!(code, Some(0));
        assert!(out.contains(said), "{request}:\n{out}");
    }
    let dir = shop();
    dir.write("sites/broken.route", "site broken.test {\n    else -> nowhere\n}\n");
    let (_, out, err) = dir.run(&["explain", "GET https://broken.test/"]);
    assert!(out.contains("503 broken.test is claimed by sites/broken.route, which does not load"), "{out}");
    assert!(err.contains("sites/broken.route:2"), "{err}");
    assert_eq!(dir.run(&["explain", "shop.test"]).0, Some(2));
}

#[test]
fn routes_are_a_table() {
    prints(
        &shop(),
        &["routes"],
        r#"
HOST       PATH        WHEN                LEADS TO                      WHERE
shop.test  /old/*rest                      redirect 308 /new/{rest}      sites/shop.route:10
shop.test  /admin/*                        admin at /internal  [office]  sites/shop.route:13
shop.test  /beta/*     header.beta is "1"  admin                         sites/shop.route:15
shop.test  /*                              app                           sites/shop.route:16
*.test     /*                              respond 404                   sites/shop.route:20
"#,
    );
}

#[test]
fn lint_of_two_files_with_one_host_names_both() {
    let dir = Dir::new();
    dir.write("sites/a.route", "site a.test {\n    else -> respond 404\n}\n");
    dir.write("sites/b.route", "\nsite a.test {\n    else -> respond 404\n}\n");
    let (code, out, err) = dir.run(&["lint", "--format", "concise"]);
    assert_eq!(code, Some(1));
    let expected = "sites/a.route:1:6: error[G2007]: `a.test` is also claimed by sites/b.route:2\n\
                    sites/b.route:2:6: error[G2007]: `a.test` is also claimed by sites/a.route:1\n";
    assert!(out == expected, "{out}");
    assert_eq!(err, "2 files checked: 2 errors in 2 files\n");
    // One file is judged with its neighbours, and what is said concerns that file.
    let (code, out, _) = dir.run(&["lint", "--format", "concise", "sites/b.route"]);
    assert_eq!((code, out.lines().count()), (Some(1), 1), "{out}");
}

#[test]
fn lint_shows_the_lines_of_both_files() {
    let dir = Dir::new();
    dir.write("sites/a.route", "site a.test {\n    else -> respond 404\n}\n");
    dir.write("sites/b.route", "site a.test {\n    else -> respond 404\n}\n");
    let (_, out, _) = dir.run(&["lint"]);
    assert!(out.contains("--> sites/a.route:1:6") && out.contains("::: sites/b.route:1:6"), "{out}");
}

#[test]
fn paths_that_a_file_names_stay_in_its_folder() {
    let dir = Dir::new();
    dir.write("secret/a.txt", "");
    std::os::unix::fs::symlink("../secret", dir.path().join("sites/link")).unwrap();
    dir.write(
        "sites/a.route",
        "import ../../up\n\nsite a.test {\n    /l -> files \"link\"\n    else -> files \"nowhere\"\n}\n",
    );
    let (code, out, _) = dir.run(&["lint", "--format", "concise"]);
    assert_eq!(code, Some(1));
    for part in ["error[G1009]", "it leads out of the sites directory"] {
        assert!(out.contains(part), "{part}: {out}");
    }
    dir.write("sites/a.route", "site a.test {\n    /l/* -> files \"link\"\n    else -> files \"nowhere\"\n}\n");
    let (_, out, _) = dir.run(&["lint", "--format", "concise"]);
    for part in
        ["a.route:2:5: error[G8007]: `link` leads out", "a.route:3:5: warning[G8008]: there is no directory `nowhere`"]
    {
        assert!(out.contains(part), "{part}: {out}");
    }
}

#[test]
fn mistakes_of_the_command_line_go_to_standard_error_and_end_with_2() {
    let dir = Dir::new();
    for args in [&["lint", "nowhere"][..], &["run", "nowhere"], &["explain"], &["routes", "nowhere"], &["frobnicate"]] {
        let (code, out, err) = dir.run(args);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{args:?}: {err}");
        assert!(!err.is_empty());
    }
    assert!(dir.run(&["lint", "--explain", "g2007"]).1.starts_with("# G2007: "));
    assert_eq!(dir.run(&["lint", "--explain", "G0"]).0, Some(2));
}
