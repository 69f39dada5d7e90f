//! Names and passwords, and API keys, from outside: against files that apache2-utils and another library made.

use sluice_tests::origin::Origin;
use sluice_tests::peer;
use sluice_tests::sluice::{Setup, Sluice, program, run};
use sluice_tests::wire::{Reply, Wire};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

const ROUTE: &str = r#"
import std/auth

site a.test {
    http allowed
    /private/* {
        use auth.basic("users.htpasswd", realm: "door")
        -> web
    }
    /api/* {
        use auth.api-key("keys.csv", scope: "write")
        -> web
    }
    /free -> respond 200 "free"
}
"#;

fn before(origin: &Origin) -> Setup {
    let route = format!("pool web = {}\n{ROUTE}", origin.addr());
    // Where a request is from is said by the tests.
    Sluice::setup().gateway("    trust proxies [127.0.0.1/32]").file("a.route", route).file("keys.csv", "")
}

/// A file of users, made by `htpasswd` with these options for each: `-m`, `-B`, …
fn htpasswd(path: &Path, users: &[(&str, &[&str], &str)]) {
    std::fs::write(path, "").unwrap();
    for (name, options, password) in users {
        peer::succeed(Command::new("htpasswd").arg("-b").args(*options).arg(path).args([name, password]));
    }
}

/// `Authorization: Basic …` of any bytes.
fn basic_of(bytes: &[u8]) -> String {
    let bare = dsl::tree::base64::encode_bare(bytes);
    format!("Authorization: Basic {bare}{}\r\n", "=".repeat((4 - bare.len() % 4) % 4))
}

fn basic(name: &str, password: &str) -> String {
    basic_of(format!("{name}:{password}").as_bytes())
}

fn from(address: &str) -> String {
    format!("X-Forwarded-For: {address}\r\n")
}

fn ask(wire: &mut Wire, path: &str, headers: &str) -> Reply {
    wire.send(format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n{headers}\r\n"));
    wire.reply()
}

fn get(sluice: &Sluice, path: &str, headers: &str) -> Reply {
    ask(&mut sluice.wire(), path, headers)
}

#[test]
fn users_that_htpasswd_and_argon2_cffi_made_pass_by_their_own_passwords() {
    let origin = Origin::echo();
    let setup = before(&origin);
    let file = setup.sites().join("users.htpasswd");
    htpasswd(&file, &[("md5", &["-m"], "pencil"), ("bc", &["-B", "-C", "5"], "pencil"), ("sha", &["-s"], "pencil")]);
    let argon2 =
        "import argon2; print(argon2.PasswordHasher(time_cost=2, memory_cost=8192, parallelism=2).hash('pencil'))";
    let line = format!("argon:{}", peer::succeed(peer::python().args(["-c", argon2])));
    let own = hashed("own", "pencil");
    std::fs::write(&file, std::fs::read_to_string(&file).unwrap() + &line + &own).unwrap();
    let sluice = setup.start();
    for (n, user) in ["md5", "bc", "sha", "argon", "own"].into_iter().enumerate() {
        let from = from(&format!("203.0.113.{n}"));
        let wrong = get(&sluice, "/private/x", &(basic(user, "pencils") + &from));
        assert_eq!(wrong.status, 401, "{user}");
        assert_eq!(wrong.header("www-authenticate"), Some("Basic realm=\"door\", charset=\"UTF-8\""));
        let right = get(&sluice, "/private/x", &(basic(user, "pencil") + &from + "X-User: root\r\nX_User: root\r\n"));
        assert_eq!(right.status, 200, "{user}\n{}", sluice.console_text());
        let seen = origin.requests().pop().unwrap();
        assert_eq!(seen.all("x-user"), [user]);
        assert!(seen.header("authorization").is_none() && seen.header("x_user").is_none(), "{seen:?}");
    }
    assert_eq!(get(&sluice, "/private/x", "").status, 401);
}

/// A line of `sluice hash password`, which reads it from standard input.
fn hashed(user: &str, password: &str) -> String {
    let mut command = Command::new(program());
    command.args(["hash", "password", "--user", user]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{password}\n").as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success());
    let line = String::from_utf8(out.stdout).unwrap();
    assert!(line.starts_with(&format!("{user}:$argon2id$v=19$")) && !line.contains(password), "{line}");
    line
}

#[test]
fn hashes_that_are_not_verified_here_are_refused_with_their_line() {
    let setup = before(&Origin::echo());
    let file = setup.sites().join("users.htpasswd");
    let users: [(&str, &[&str], &str); 5] = [
        ("good", &["-B", "-C", "5"], "pencil"),
        ("plain", &["-p"], "hunter2hunter2"),
        ("sha256", &["-2"], "pencil"),
        ("sha512", &["-5"], "pencil"),
        ("des", &["-d"], "pencil"),
    ];
    htpasswd(&file, &users);
    std::fs::write(setup.sites().join("keys.csv"), "a-key-that-is-not-hashed,ann,read\n").unwrap();
    let lint = run(&["lint", setup.sites().to_str().unwrap()]);
    let text = String::from_utf8_lossy(&lint.stdout).into_owned() + &String::from_utf8_lossy(&lint.stderr);
    assert_eq!(lint.status.code(), Some(1), "{text}");
    for (line, what) in [(2, "not hashed"), (3, "SHA-256 crypt"), (4, "SHA-512 crypt"), (5, "DES crypt")] {
        assert!(text.contains(&format!("users.htpasswd:{line}:1")) && text.contains(what), "{what}: {text}");
    }
    assert!(text.contains("keys.csv:1:") && text.contains("no SHA-256 of a key"), "{text}");
    let lines = std::fs::read_to_string(&file).unwrap();
    for hidden in lines.lines().filter_map(|line| line.split_once(':')).map(|(_, hash)| hash) {
        assert!(!text.contains(hidden), "{hidden} is shown:\n{text}");
    }
    assert!(!text.contains("a-key-that-is-not-hashed"), "{text}");
}

#[test]
fn users_change_while_it_serves_and_a_broken_file_keeps_those_before() {
    let origin = Origin::echo();
    let setup = before(&origin);
    let file = setup.sites().join("users.htpasswd");
    htpasswd(&file, &[("ann", &["-B", "-C", "5"], "pencil"), ("bob", &["-B", "-C", "5"], "eraser")]);
    let sluice = setup.start();
    let is = |user: &str, password: &str, status: u16, from_: &str| {
        let headers = basic(user, password) + &from(from_);
        assert_eq!(get(&sluice, "/private/x", &headers).status, status, "{user} {password}");
    };
    is("ann", "pencil", 200, "203.0.113.1");
    is("bob", "eraser", 200, "203.0.113.1");
    // A broken line: the users before it stay, and it is told without what is behind the name.
    let good = std::fs::read_to_string(&file).unwrap();
    sluice.write("users.htpasswd", format!("{good}carl:hunter2hunter2\n"));
    let line = sluice.says("that the file is broken", |line| line.contains("users.htpasswd:3"));
    assert!(
        line.contains("user `carl`") && line.contains("the rows before it stay") && !line.contains("hunter2"),
        "{line}"
    );
    is("ann", "pencil", 200, "203.0.113.1");
    // Another password for ann, and bob is gone: nothing that was known of them holds.
    let changed = sluice.sites().join("changed");
    htpasswd(&changed, &[("ann", &["-B", "-C", "5"], "brush")]);
    std::fs::rename(&changed, &file).unwrap();
    let headers = |user: &str, password: &str| basic(user, password) + &from("203.0.113.2");
    let soon = |user: &str, password: &str, status: u16| {
        sluice_tests::wait::until("the users are those of the file", || {
            (get(&sluice, "/private/x", &headers(user, password)).status == status).then_some(())
        });
    };
    soon("ann", "brush", 200);
    is("ann", "pencil", 401, "203.0.113.3");
    is("bob", "eraser", 401, "203.0.113.3");
    assert!(!sluice.console_text().contains("hunter2"));
}

#[test]
fn attack_credential_stuffing_waits_and_locks_nobody_out() {
    let origin = Origin::echo();
    let setup = before(&origin);
    let file = setup.sites().join("users.htpasswd");
    htpasswd(&file, &[("ann", &["-B", "-C", "4"], "pencil"), ("bob", &["-B", "-C", "4"], "eraser")]);
    let sluice = setup.start();
    let mut wire = sluice.wire();
    let mut attempt = |user: &str, password: &str, address: &str| {
        ask(&mut wire, "/private/x", &(basic(user, password) + &from(address)))
    };
    // Ann is at home before it begins.
    assert_eq!(attempt("ann", "pencil", "198.51.100.1").status, 200);
    // One source, a list of leaked pairs: ten are verified, then it waits, right or wrong.
    let verified = (0..30).filter(|n| attempt(&format!("user{n}"), "leaked", "203.0.113.7").status == 401).count();
    assert!((10..=12).contains(&verified), "{verified}");
    let late = attempt("bob", "eraser", "203.0.113.7");
    assert_eq!(late.status, 429);
    let after: u64 = late.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=6).contains(&after), "{after}");
    // Many sources against one account: the account waits for strangers.
    let statuses: Vec<u16> =
        (0..40).map(|n| attempt("ann", &format!("guess{n}"), &format!("192.0.2.{n}")).status).collect();
    assert!(statuses[..20].iter().all(|status| *status == 401), "{statuses:?}");
    assert!(statuses[25..].iter().all(|status| *status == 429), "{statuses:?}");
    assert_eq!(attempt("ann", "pencil", "192.0.2.200").status, 200, "what is known to be right is right anywhere");
    // Who is known to be ann's may even mistype.
    assert_eq!(attempt("ann", "pencik", "198.51.100.1").status, 401);
    assert_eq!(attempt("ann", "pencil", "198.51.100.1").status, 200);
    assert_eq!(attempt("bob", "eraser", "198.51.100.2").status, 200, "another account");
    // The same wrong password again is no new guess: browsers say it with every picture of a page.
    for _ in 0..30 {
        assert_eq!(attempt("bob", "old", "198.51.100.3").status, 401);
    }
    assert_eq!(attempt("bob", "eraser", "198.51.100.3").status, 200);
}

#[test]
fn attack_user_enumeration_by_the_answer() {
    let setup = before(&Origin::echo());
    htpasswd(&setup.sites().join("users.htpasswd"), &[("ann", &["-B", "-C", "5"], "pencil")]);
    let sluice = setup.start();
    let told = |headers: String| {
        let reply = get(&sluice, "/private/x", &headers);
        let kept = reply.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("date"));
        let kept: Vec<(String, String)> = kept.cloned().collect();
        (reply.status, kept, reply.text())
    };
    let (known, unknown) = (from("203.0.113.1"), from("203.0.113.2"));
    assert_eq!(told(basic("ann", "x") + &known), told(basic("nobody", "x") + &unknown));
    // Nor does the damping tell: names that are not there wait as those that are.
    let waits = |user: &str, net: &str| {
        (0..40).take_while(|n| told(basic(user, &format!("guess{n}")) + &from(&format!("{net}.{n}"))).0 == 401).count()
    };
    assert_eq!(waits("ann", "192.0.2") + 1, waits("nobody", "198.51.100") + 1);
}

#[test]
fn attack_credentials_twice_oversize_and_with_odd_bytes() {
    let origin = Origin::echo();
    let setup = before(&origin);
    let longest = "p".repeat(72);
    htpasswd(
        &setup.sites().join("users.htpasswd"),
        &[
            ("ann", &["-B", "-C", "4"], "pencil"),
            ("long", &["-B", "-C", "4"], &longest),
            ("zoë", &["-B", "-C", "4"], "pëncil"),
        ],
    );
    let sluice = setup.start();
    let status = |headers: &str, n: u8| {
        get(&sluice, "/private/x", &format!("{headers}{}", from(&format!("203.0.113.{n}")))).status
    };
    let good = basic("ann", "pencil");
    // Two that differ are nobody's; a copy is one.
    assert_eq!(status(&format!("{good}{}", basic("ann", "x")), 1), 400);
    assert_eq!(status(&format!("{}{good}", basic("long", "x")), 1), 400);
    assert_eq!(status(&format!("{good}{good}"), 1), 200);
    assert_eq!(status(&good.replace("Basic", "bASIC"), 1), 200);
    assert_eq!(status(&basic("zoë", "pëncil"), 2), 200);
    // What bcrypt does not look at decides all the same.
    assert_eq!(status(&basic("long", &longest), 3), 200);
    assert_eq!(status(&basic("long", &format!("{longest}x")), 3), 401);
    let big = "x".repeat(6000);
    for (n, odd) in [
        basic_of(b"ann\0:pencil"),
        basic_of(b"ann:pencil\0"),
        basic_of(b"ann:pencil\0x"),
        basic_of(b"ann:pencil\n"),
        basic_of(b"ann\xff:pencil"),
        basic_of(b"ann"),
        basic_of(b":pencil"),
        basic_of(b"ann :pencil"),
        basic_of(b"ANN:pencil"),
        basic_of("zoe\u{308}:pëncil".as_bytes()),
        basic("ann", &big),
        basic(&big, "pencil"),
        good.replace("==", ""),
        good.replace("Basic ", "Basic"),
        good.replace("Basic", "Bearer"),
        "Authorization: Basic\r\n".to_owned(),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(status(&odd, 100 + u8::try_from(n).unwrap()), 401, "{odd}");
    }
    assert_eq!(origin.requests().len(), 4);
}

#[test]
fn attack_a_flood_of_wrong_passwords_keeps_no_worker() {
    let origin = Origin::echo();
    let setup = before(&origin).workers(1);
    // Each takes long, and they are hashed one after the other.
    htpasswd(&setup.sites().join("users.htpasswd"), &[("ann", &["-B", "-C", "9"], "pencil")]);
    let sluice = setup.start();
    let flood: Vec<Wire> = (0..120)
        .map(|n| {
            let mut wire = sluice.wire();
            let headers = basic(&format!("user{n}"), "guess") + &from(&format!("192.0.2.{n}"));
            wire.send(format!("GET /private/x HTTP/1.1\r\nHost: a.test\r\n{headers}\r\n"));
            wire
        })
        .collect();
    // The queue is bounded: what does not fit is answered at once.
    let mut free = sluice.wire();
    for _ in 0..200 {
        assert_eq!(ask(&mut free, "/free", "").status, 200);
    }
    // The one worker answered two hundred while most of the flood is still waited for. Who leaves is not hashed.
    let full = sluice.says("that more wait than may", |line| line.contains("more passwords wait"));
    assert!(full.contains("password("), "{full}");
    drop(flood);
    assert_eq!(ask(&mut free, "/free", "").status, 200);
    // And there is room again for who has the right one.
    let soon = sluice_tests::wait::within(sluice_tests::wait::PATIENCE, || {
        (get(&sluice, "/private/x", &(basic("ann", "pencil") + &from("198.51.100.1"))).status == 200).then_some(())
    });
    assert!(soon.is_some());
}

/// A new key and its line.
fn key(owner: &str, more: &[&str]) -> (String, String) {
    let out = run(&[&["hash", "key", "--owner", owner], more].concat());
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8(out.stdout).unwrap();
    let (key, line) = text.split_once('\n').unwrap();
    assert!(key.starts_with("sluice_") && !line.contains(key), "{text}");
    (key.to_owned(), line.to_owned())
}

#[test]
fn keys_are_their_owners_for_what_they_may_until_they_end() {
    let origin = Origin::echo();
    let (ann, of_ann) = key("ann", &["--scope", "read write"]);
    let (bob, of_bob) = key("Bob, Inc", &["--scope", "read"]);
    let (old, of_old) = key("old", &["--scope", "write", "--until", "2020-01-01"]);
    let (new, of_new) = key("new", &["--scope", "write", "--until", "2200-01-01"]);
    let setup = before(&origin).file("users.htpasswd", "").file("keys.csv", of_ann + &of_bob + &of_old + &of_new);
    let sluice = setup.start();
    let status = |key: &str| get(&sluice, "/api/x", &format!("X-Api-Key: {key}\r\nX-Owner: root\r\n")).status;
    assert_eq!(status(&ann), 200);
    let seen = origin.requests().pop().unwrap();
    assert_eq!(seen.all("x-owner"), ["ann"]);
    assert!(seen.header("x-api-key").is_none());
    assert_eq!(status(&bob), 403, "a scope that the key does not have");
    assert_eq!(status(&old), 401, "its time is over");
    assert_eq!(status(&new), 200);
    for none in ["", "sluice_", &ann[..ann.len() - 1], &format!("{ann}x"), &ann.to_uppercase(), &"x".repeat(4000)] {
        assert_eq!(status(none), 401, "{none}");
    }
    // The hash of a key is no key.
    let line = std::fs::read_to_string(sluice.sites().join("keys.csv")).unwrap();
    assert_eq!(status(&line[..64]), 401);
    assert_eq!(get(&sluice, "/api/x", &format!("X-Api-Key: {ann}\r\nX-Api-Key: {bob}\r\n")).status, 400);
    // It is taken away, and a mistake takes nothing away.
    sluice.write("keys.csv", "not a key,x,y\n");
    sluice.says("that the file is broken", |line| line.contains("keys.csv:1"));
    assert_eq!(status(&ann), 200);
    let rest = line.split_inclusive('\n').skip(1).collect::<String>();
    sluice.write("keys.csv", rest);
    sluice_tests::wait::until("ann's key is gone", || (status(&ann) == 401).then_some(()));
    assert_eq!(status(&new), 200);
}

#[test]
fn a_hundred_thousand_keys_are_known_and_each_owner_has_a_limit() {
    let origin = Origin::echo();
    let route = format!(
        "pool web = {}\n\nsite a.test {{\n    http allowed\n    \
         let who = api-key(header.x-api-key, \"keys.csv\")\n    require who else deny 401\n    \
         limit 1/h burst 2 per who.owner if missing deny 401\n    set request header x-owner = who.owner\n    \
         else -> web\n}}\n",
        origin.addr()
    );
    let keys: String = (0..100_000)
        .map(|n| format!("{},owner{},read\n", dsl::tree::hash_hex(&format!("key-{n}")), n % 50_000))
        .collect();
    let sluice = Sluice::setup().file("a.route", route).file("keys.csv", keys).start();
    let mut wire = sluice.wire();
    let mut status = |key: &str| ask(&mut wire, "/", &format!("X-Api-Key: {key}\r\n"));
    for n in [0, 1, 49_999, 99_998] {
        assert_eq!(status(&format!("key-{n}")).status, 200, "{n}");
        assert_eq!(origin.requests().pop().unwrap().all("x-owner"), [format!("owner{}", n % 50_000)]);
    }
    // Two keys of one owner are one bucket.
    assert_eq!(status("key-50000").status, 200);
    assert_eq!(status("key-0").status, 429);
    assert_eq!(status("key-2").status, 200);
    assert_eq!(status("key-100000").status, 401);
}

#[test]
fn a_secret_has_users_too_and_those_before_stay_while_it_is_broken() {
    let route = "site a.test {\n    http allowed\n    require password(secret.users) else deny 401\n    \
                 else -> respond 200 \"in\"\n}\n";
    let setup = Sluice::setup().gateway("    secrets from \"../secrets\"").file("a.route", route);
    let users = hashed("ann", "pencil") + &hashed("bob", "eraser");
    let setup = setup.file("../secrets/users", &users);
    let sluice = setup.start();
    let status = |user: &str, password: &str| get(&sluice, "/", &basic(user, password)).status;
    assert_eq!((status("ann", "pencil"), status("ann", "pencils")), (200, 401));
    sluice.write("../secrets/users", "ann:hunter2hunter2\n");
    let told = || sluice.console().into_iter().find(|line| line.contains("line 1: user `ann`"));
    // It is told when somebody needs it.
    let told = sluice_tests::wait::until("the secret is seen to be broken", || {
        assert_eq!(status("bob", "eraser"), 200);
        told()
    });
    assert!(told.contains("secret users") && !told.contains("hunter2"), "{told}");
    sluice.write("../secrets/users", hashed("ann", "brush"));
    sluice_tests::wait::until("the secret is read again", || (status("bob", "eraser") == 401).then_some(()));
    assert_eq!((status("ann", "brush"), status("ann", "pencil")), (200, 401));
    // Where there never were others, the file does not load.
    let lone = Sluice::setup().gateway("    secrets from \"../secrets\"").file("a.route", route);
    let lone = lone.file("../secrets/users", "ann:hunter2hunter2\n").start();
    assert_eq!(get(&lone, "/", &basic("ann", "hunter2hunter2")).status, 503);
    assert!(lone.console_text().contains("G3025") && !lone.console_text().contains("hunter2"));
}
