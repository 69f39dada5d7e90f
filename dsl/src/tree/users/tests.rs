use super::*;

const BCRYPT: &str = "$2y$05$QbCVi9sEz1IpZmmoLPETBOc1tBOL/q4VcV2ju5QhfVCHsWdIH/W/C";
const APR1: &str = "$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/";
const ARGON2: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$x9UY48jIO6Ne/Sn+sKx7dw$v9Y1RGx+y3SI5gwoOcfGqPRYKv0zuiSqYLEPAFOAkGY";

fn why_not(hash: &str) -> String {
    Hash::read(hash).expect_err(hash)
}

#[test]
fn lines_are_users_with_their_hashes() {
    let text = format!("# who may\n\nann:{BCRYPT}\r\n  \nbob smith:{APR1}:a remark\nzoë@example.com:{ARGON2}");
    let rows = read(&text).unwrap();
    let of = |name: &str| rows.find(name.as_bytes()).map(|row| (rows.value(row), rows.line(row)));
    assert_eq!(rows.len(), 3);
    assert_eq!(of("ann"), Some((BCRYPT, 3)));
    assert_eq!(of("bob smith"), Some((APR1, 5)));
    assert_eq!(of("zoë@example.com"), Some((ARGON2, 6)));
    assert_eq!((of("Ann"), of("zo\u{65}\u{308}@example.com")), (None, None));
    assert!(read("").unwrap().is_empty());
}

#[test]
fn mistakes_point_at_names_and_tell_no_hash() {
    for (line, said) in [
        ("hunter2hunter2", "no colon"),
        (":hunter2", "no name"),
        ("ann:hunter2", "is not hashed"),
        ("ann:", "is not there"),
        ("ann:hunter2hunter", "DES crypt"),
        ("ann:{SSHA}hunter2", "LDAP"),
        ("ann:{SHA}hunter2", "SHA-1"),
        ("ann:$1$salt$hunter2", "MD5 crypt"),
        ("ann:$5$salt$hunter2", "SHA-256 crypt"),
        ("ann:$6$salt$hunter2", "SHA-512 crypt"),
        ("ann:$y$j9T$hunter2", "yescrypt"),
        ("ann:$argon2i$v=19$m=8,t=1,p=1$hunter2", "argon2i or"),
        ("ann:$hunter2$x", "not known"),
        ("an\0n:hunter2", "no control"),
    ] {
        let wrong = read(&format!("# first\n{line}\n")).unwrap_err();
        assert!(wrong[0].message.contains(said), "{line}: {}", wrong[0].message);
        assert!(!wrong[0].message.contains("hunter2"), "{}", wrong[0].message);
        assert_eq!(wrong[0].span.start, 8);
        let shown = &line[..wrong[0].span.end as usize - 8];
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    let twice = read(&format!("ann:{BCRYPT}\nann:{APR1}\n")).unwrap_err();
    assert!(twice[0].message.contains("`ann` stands twice") && twice[0].other.is_some());
    assert_eq!(read(&"x\n".repeat(99)).unwrap_err().len(), MISTAKES);
    let long = format!("{}:{BCRYPT}", "n".repeat(MAX_NAME + 1));
    assert!(read(&long).unwrap_err()[0].message.contains("255 bytes"));
    assert!(read(&format!("ann:{BCRYPT}:{}", "x".repeat(1024))).unwrap_err()[0].message.contains("1024 bytes"));
}

#[test]
fn attack_hash_parameter_bomb() {
    let argon2 = |costs: &str| format!("$argon2id$v=19${costs}$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA");
    assert!(Hash::read(&argon2("m=65536,t=3,p=4")).is_ok());
    assert!(Hash::read(&argon2("m=262144,t=4,p=1")).is_ok(), "the most");
    for bomb in
        ["m=4194304,t=1,p=1", "m=4294967295,t=1,p=1", "m=64,t=4294967295,p=1", "m=262144,t=5,p=1", "m=65536,t=17,p=1"]
    {
        assert!(why_not(&argon2(bomb)).contains("costs too much"), "{bomb}");
    }
    for none in [
        "m=99999999999999999999,t=1,p=1",
        "m=0,t=1,p=1",
        "m=64,t=0,p=1",
        "m=64,t=1,p=0",
        "m=64,t=1",
        "t=1,m=64,p=1",
        "m=+64,t=1,p=1",
        "m=064,t=1,p=1",
        "m=64,t=1,p=1,keyid=a",
        "m=7,t=1,p=1",
        "m=1024,t=1,p=17",
        "",
    ] {
        assert!(Hash::read(&argon2(none)).is_err(), "{none}");
    }
    for cost in ["15", "31", "99", "03", "00", "1", "+5", "010"] {
        assert!(Hash::read(&BCRYPT.replacen("05", cost, 1)).is_err(), "{cost}");
    }
    assert!(Hash::read(&BCRYPT.replacen("05", "14", 1)).is_ok(), "the most");
    assert!(why_not(&format!("$apr1${}$HqJZimcKQFAMYayBlzkrA/", "s".repeat(9))).contains("8 letters"));
    let long = "A".repeat(88);
    assert!(Hash::read(&format!("$argon2id$v=19$m=64,t=1,p=1${long}$aGFzaGhhc2hoYXNoaGFzaA")).is_err());
}

#[test]
fn a_salt_of_bcrypt_may_end_in_bits_that_say_nothing() {
    // PHP wrote such salts; the hash is what the same password and the salt without those bits come to.
    let Ok(Hash::Bcrypt(text)) = Hash::read("$2y$05$QbCVi9sEz1IpZmmoLPETB/c1tBOL/q4VcV2ju5QhfVCHsWdIH/W/C") else {
        panic!()
    };
    assert_eq!(&text[28..29], ".");
    assert_eq!(Hash::read(BCRYPT), Ok(Hash::Bcrypt(BCRYPT.into())));
    assert!(Hash::read(&BCRYPT.replace("W/C", "W/D")).is_err(), "a hash that nothing comes to");
    assert!(Hash::read(&BCRYPT.replace("W/C", "W/")).is_err());
    assert!(Hash::read(&BCRYPT.replace("W/C", "Wé")).is_err());
}

#[test]
fn weak_ones_are_known() {
    assert!(Hash::read(APR1).unwrap().is_weak());
    assert!(Hash::read("{SHA}0vxRJJChUDZGC1SJQBQ51tpUB/o=").unwrap().is_weak());
    assert!(!Hash::read(BCRYPT).unwrap().is_weak() && !Hash::read(ARGON2).unwrap().is_weak());
}
