//! Calls that read lines of files and secrets: `password(…)`, `api-key(…)`, and policies that are handed such files.

#![allow(clippy::unwrap_used)] // a test that cannot read its case fails

mod front;

use dsl::Compiled;
use dsl::diagnostic::Severity;
use dsl::tree::ir::{CallKind, Lines};
use front::Files;

const USERS: &str = "ann:$2y$05$QbCVi9sEz1IpZmmoLPETBOc1tBOL/q4VcV2ju5QhfVCHsWdIH/W/C\n";
const KEYS: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad,ann,read\n";

fn files(route: &str) -> Files {
    let route = format!("pool web = 10.0.0.1:80\n{route}");
    let all = [
        ("sites/a.route", route.as_str()),
        ("sites/users.htpasswd", USERS),
        ("sites/keys.csv", KEYS),
        ("sites/team/users.htpasswd", USERS),
        (
            "sites/team/doors.route",
            "policy door(users: file) {\n    require password(users) else deny 401\n}\npolicy own {\n    require password(\"users.htpasswd\") else deny 401\n}\n",
        ),
        ("sites/broken.htpasswd", "ann:hunter2hunter2\n"),
        ("sites/weak.htpasswd", "ann:{SHA}0vxRJJChUDZGC1SJQBQ51tpUB/o=\nbob:{SHA}0vxRJJChUDZGC1SJQBQ51tpUB/o=\n"),
    ];
    Files(all.map(|(path, text)| (path.to_owned(), text.to_owned())).to_vec())
}

fn site(line: &str) -> String {
    format!("site a.test {{\n    {line}\n    else -> web\n}}\n")
}

fn sound(route: &str) -> Compiled {
    let files = files(route);
    let compiled = files.compile(0);
    assert!(compiled.is_sound(), "{}", files.render(&compiled.diagnostics));
    compiled
}

fn said(route: &str, severity: Severity) -> Vec<String> {
    let found = files(route).compile(0).diagnostics;
    found.iter().filter(|d| d.severity == severity).map(|d| format!("{} {}", d.code, d.message)).collect()
}

/// The lines of each call of the first site.
fn lines(compiled: &Compiled) -> Vec<Lines> {
    let calls = &compiled.programs[0].site().calls;
    calls
        .iter()
        .map(|call| match &call.kind {
            CallKind::Password(password) => password.users.clone(),
            CallKind::ApiKey(key) => key.keys.clone(),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn a_file_or_a_secret_has_the_lines() {
    let compiled = sound(&site("require password(\"users.htpasswd\") else deny 401"));
    assert_eq!(compiled.tables.len(), 1, "it is read again when it changes");
    assert!(matches!(&lines(&compiled)[..], [Lines::File(table)] if table.rows().len() == 1));
    let compiled = sound(&site("require password(secret.users) else deny 401"));
    assert!(matches!(&lines(&compiled)[..], [Lines::Secret(name)] if &**name == "users"));
    assert_eq!(compiled.programs[0].site().calls[0].secrets(), ["users".into()]);
    let compiled = sound(&site("require api-key(header.x-api-key, \"keys.csv\") else deny 401"));
    assert_eq!(compiled.programs[0].site().calls[0].shown.as_ref(), "api-key(header.x-api-key, \"keys.csv\")");
    sound(
        "let users = \"users.htpasswd\"\nsite a.test {\n    require password(users) else deny 401\n    else -> web\n}\n",
    );
}

#[test]
fn a_file_is_that_of_the_folder_of_the_file_that_names_it() {
    let doors = "import ./team/doors\n";
    let handed = sound(&format!("{doors}{}", site("use doors.door(\"users.htpasswd\")")));
    let own = sound(&format!("{doors}{}", site("use doors.own")));
    let of = |compiled: &Compiled| match &lines(compiled)[..] {
        [Lines::File(table)] => table.from.as_ref().unwrap().file.0,
        other => panic!("{other:?}"),
    };
    assert_eq!((of(&handed), of(&own)), (0, 4));
    // Two files of one name are two.
    let both =
        sound(&format!("{doors}{}", site("use doors.own\n    require password(\"users.htpasswd\") else deny 401")));
    assert_eq!(lines(&both).len(), 2);
    let same = sound(&site(
        "require password(\"users.htpasswd\") else deny 401\n    require password(\"users.htpasswd\") else deny 403",
    ));
    assert_eq!((lines(&same).len(), same.tables.len()), (1, 1));
    let by_name = sound(&format!("{doors}let users = \"users.htpasswd\"\n{}", site("use doors.door(users)")));
    assert_eq!(of(&by_name), 0);
    sound(&format!("{doors}{}", site("use doors.door(secret.users)")));
}

#[test]
fn what_is_no_file_of_lines_is_said() {
    for (line, wanted) in [
        (
            "require password(\"users.txt\") else deny 401",
            "G1029 these lines are read from a file that ends in `.htpasswd`",
        ),
        (
            "require password(\"keys.csv\") else deny 401",
            "G1029 these lines are read from a file that ends in `.htpasswd`",
        ),
        (
            "require api-key(header.k, \"users.htpasswd\") else deny 401",
            "G1029 these lines are read from a file that ends in `.csv`",
        ),
        ("require password(\"nobody.htpasswd\") else deny 401", "G1029"),
        ("require password(\"broken.htpasswd\") else deny 401", "G1029 user `ann`: the password"),
        ("require password(7) else deny 401", "G1005 `users` of `password` takes"),
        ("require password() else deny 401", "G1021"),
        ("require api-key(\"keys.csv\") else deny 401", "G1021"),
        ("require api-key(secret.k, \"keys.csv\") else deny 401", "G3015"),
        ("set request header x-user = password(secret.users)", "G1005"),
    ] {
        let found = said(&site(line), Severity::Error);
        assert!(found.iter().any(|said| said.starts_with(wanted)), "{line}: {found:?}");
        assert!(!format!("{found:?}").contains("hunter2"), "{found:?}");
    }
    let doors = "import ./team/doors\n";
    let found = said(&format!("{doors}{}", site("use doors.door(7)")), Severity::Error);
    assert!(found.iter().any(|said| said.contains("`users` takes a file or a secret")), "{found:?}");
}

#[test]
fn weak_hashes_are_warned_of_where_the_file_is_named() {
    let found = said(&site("require password(\"weak.htpasswd\") else deny 401"), Severity::Warning);
    let wanted = "G3029 `weak.htpasswd` has passwords that are hashed weakly: `ann` and one more";
    assert!(found.iter().any(|said| said == wanted), "{found:?}");
    let found = said(&site("require password(\"users.htpasswd\") else deny 401"), Severity::Warning);
    assert!(!found.iter().any(|said| said.starts_with("G3029")), "{found:?}");
}

#[test]
fn the_names_of_these_calls_are_nobodys() {
    sound(
        "policy page(password: path = /p) {\n    /x -> redirect 302 {password}\n}\nsite a.test {\n    use page\n    /k/{api-key} -> respond 200 \"{api-key}\"\n    else -> web\n}\n",
    );
    sound(
        "let password(x) = x is \"pencil\"\nsite a.test {\n    require password(host) else deny 401\n    else -> web\n}\n",
    );
}
