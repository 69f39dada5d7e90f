//! `jwt`, `signed`, secrets and sessions.

use super::*;
use crate::support::{Origin, fixed, pool};
use dsl::tree::ir::{SecretTest, Session, SessionDoes, SessionStart, Signed};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const HEAD: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

fn rig(kind: CallKind, steps: Vec<Step>, secrets: &[(&str, &str)]) -> (Rig, Origin) {
    let origin = Origin::answering(OK);
    let site = guarded(vec![call(kind, "the call")], steps, vec![pool(&[origin.address])]);
    (Rig::with_secrets(vec![site], secrets, 1, |_| {}), origin)
}

fn with(token: &str) -> String {
    format!("X-Token: {token}\r\n")
}

#[test]
fn a_token_that_holds_passes_and_its_claims_are_told() {
    // A list has each of its texts, and no part of one.
    let member = Cond::Test(Field::Claim(CallIdx(0), "org.tags".into()), Test::Has("admin".into()));
    let member = Step::Require { cond: member, otherwise: Answer::Deny { status: 403 }, loc: Loc::default() };
    let steps =
        vec![require(0), claim(0, "sub", "x-user"), claim(0, "org.id", "x-org"), claim(0, "vip", "x-vip"), member];
    let (rig, origin) = rig(CallKind::Jwt(jwt()), steps, &[("key", KEY)]);
    let body =
        format!(r#"{{"sub":"ann","org":{{"id":7,"tags":["a","admin"]}},"vip":true,"none":null,"exp":{}}}"#, now() + 60);
    let reply = format!("X-User: root\r\nX_User: root\r\n{}", with(&token(HEAD, &body, KEY)));
    assert_eq!(status(&rig, "/", &reply), 200);
    let head = origin.heads()[0].to_ascii_lowercase();
    assert!(
        head.contains("x-user: ann\r\n") && head.contains("x-org: 7\r\n") && head.contains("x-vip: true\r\n"),
        "{head}"
    );
    assert!(!head.contains("root"), "{head}");
    assert_eq!(status(&rig, "/", ""), 401, "no token");
    let other = body.replace("\"admin\"", "\"administrator\"");
    assert_eq!(status(&rig, "/", &with(&token(HEAD, &other, KEY))), 403);
    // A copy that says the same is one; two that differ are none.
    let same = with(&token(HEAD, &body, KEY));
    assert_eq!(status(&rig, "/", &format!("{same}{same}")), 200);
    assert_eq!(status(&rig, "/", &format!("{same}X-Token: other\r\n")), 400);
}

#[test]
fn forged_tokens_are_refused() {
    let mut rules = jwt();
    rules.issuer = Some(fixed("us"));
    rules.audience = Some(hole(Field::Host));
    let (rig, origin) = rig(CallKind::Jwt(rules), vec![require(0)], &[("key", KEY)]);
    let claims = |rest: &str| format!(r#"{{"iss":"us","aud":"a.test","exp":{}{rest}}}"#, now() + 60);
    let good = token(HEAD, &claims(""), KEY);
    assert_eq!(status(&rig, "/", &with(&good)), 200);
    let list = format!(r#"{{"iss":"us","aud":["b.test","a.test"],"exp":{}.5}}"#, now() + 60);
    assert_eq!(status(&rig, "/", &with(&token(HEAD, &list, KEY))), 200, "one of several");
    let (text, signature) = good.rsplit_once('.').unwrap();
    let parts: Vec<&str> = good.split('.').collect();
    let headed = |head: &str| token(head, &claims(""), KEY);
    let said = |body: String| token(HEAD, &body, KEY);
    let late = now() - 1;
    let swapped: String =
        signature.chars().enumerate().map(|(n, c)| if n == 5 { if c == 'A' { 'B' } else { 'A' } } else { c }).collect();
    for (attack, forged) in [
        ("another key", token(HEAD, &claims(""), "another key, another key, another")),
        ("alg none", headed(r#"{"alg":"none"}"#)),
        ("alg none without a signature", format!("{}.{}.", base64url(br#"{"alg":"none"}"#), parts[1])),
        ("alg None", headed(r#"{"alg":"None"}"#)),
        ("alg in lower case", headed(r#"{"alg":"hs256"}"#)),
        ("no alg", headed(r#"{"typ":"JWT"}"#)),
        ("alg of another kind of key", headed(r#"{"alg":"RS256"}"#)),
        ("alg that nobody accepts", headed(r#"{"alg":"HS512"}"#)),
        ("alg twice", headed(r#"{"alg":"none","alg":"HS256"}"#)),
        ("alg as a list", headed(r#"{"alg":["HS256"]}"#)),
        ("crit", headed(r#"{"alg":"HS256","crit":["exp"]}"#)),
        ("a head that is no object", headed(r#""HS256""#)),
        ("text behind the head", headed(r#"{"alg":"HS256"}{}"#)),
        ("no signature", format!("{text}.")),
        ("two parts", text.to_owned()),
        ("four parts", format!("{good}.{signature}")),
        ("a signature cut short", good[..good.len() - 2].to_owned()),
        ("a signature changed", format!("{text}.{swapped}")),
        ("a body changed", format!("{}.{}.{signature}", parts[0], base64url(claims(r#","sub":"root""#).as_bytes()))),
        ("padding", format!("{good}=")),
        ("base64 of another alphabet", good.replacen(&parts[0][..4], "+/+/", 1)),
        ("no exp", said(r#"{"iss":"us","aud":"a.test"}"#.into())),
        ("exp over", said(format!(r#"{{"iss":"us","aud":"a.test","exp":{late}}}"#))),
        ("exp as a text", said(format!(r#"{{"iss":"us","aud":"a.test","exp":"{}"}}"#, now() + 60))),
        ("exp twice", said(format!(r#"{{"iss":"us","aud":"a.test","exp":{late},"exp":{}}}"#, now() + 60))),
        ("exp without an end", said(r#"{"iss":"us","aud":"a.test","exp":1e999}"#.into())),
        ("not yet", said(claims(&format!(r#","nbf":{}"#, now() + 60)))),
        ("nbf as a text", said(claims(r#","nbf":"0""#))),
        ("another aud", said(format!(r#"{{"iss":"us","aud":"b.test","exp":{}}}"#, now() + 60))),
        ("aud that begins the same", said(format!(r#"{{"iss":"us","aud":"a.test.evil","exp":{}}}"#, now() + 60))),
        ("another iss", said(format!(r#"{{"iss":"them","aud":"a.test","exp":{}}}"#, now() + 60))),
        ("no iss", said(format!(r#"{{"aud":"a.test","exp":{}}}"#, now() + 60))),
        ("iss as a list", said(format!(r#"{{"iss":["us"],"aud":"a.test","exp":{}}}"#, now() + 60))),
        ("a claim twice", said(claims(r#","sub":"ann","sub":"root""#))),
        ("a claim twice once flattened", said(claims(r#","a.b":"1","a":{"b":"2"}"#))),
        ("nested beyond reason", said(claims(&format!(r#","a":{}1{}"#, "[".repeat(300), "]".repeat(300))))),
        ("too long", said(claims(&format!(r#","a":"{}""#, "a".repeat(8_192))))),
    ] {
        assert_eq!(status(&rig, "/", &with(&forged)), 401, "{attack}: {forged}");
    }
    assert_eq!(origin.heads().len(), 2);
}

#[test]
fn attack_a_claim_that_is_called_as_cookies_of_logins_are_here() {
    let (rig, origin) = rig(CallKind::Jwt(jwt()), vec![require(0)], &[("key", KEY)]);
    let body = format!(r#"{{"\u0000set-cookie":"__Host-sid=tossed; Path=/; Secure","exp":{}}}"#, now() + 60);
    let reply = rig.ask(&format!("GET / HTTP/1.1\r\nHost: a.test\r\n{}\r\n", with(&token(HEAD, &body, KEY))));
    assert_eq!((reply.status, reply.header("set-cookie")), (200, None));
    assert_eq!(origin.heads().len(), 1);
}

#[test]
fn who_says_for_whom_a_token_is_does_not_mean_everybody() {
    let (rig, _origin) = rig(CallKind::Jwt(jwt()), vec![require(0)], &[("key", KEY)]);
    let of = |rest: &str| with(&token(HEAD, &format!(r#"{{"exp":{}{rest}}}"#, now() + 60), KEY));
    assert_eq!(status(&rig, "/", &of("")), 200);
    assert_eq!(status(&rig, "/", &of(r#","aud":"somebody else""#)), 401);
}

#[test]
fn keys_are_lines_and_follow_the_secret() {
    let old = "an old key that still verifies, for now";
    let (rig, _origin) = rig(CallKind::Jwt(jwt()), vec![require(0)], &[("key", &format!("{KEY}\n\n{old}\n"))]);
    let of = |key: &str| with(&token(HEAD, &format!(r#"{{"exp":{}}}"#, now() + 60), key));
    assert_eq!((status(&rig, "/", &of(KEY)), status(&rig, "/", &of(old))), (200, 200));
    let new = "a new key that has thirty-two bytes or more";
    rig.secret("key", &format!("{new}\n{KEY}\n"));
    let all = [of(new), of(KEY), of(old)].map(|token| status(&rig, "/", &token));
    assert_eq!(all, [200, 200, 401]);
}

#[test]
fn without_a_key_nobody_passes_and_the_operator_is_told() {
    let (rig, _origin) = rig(CallKind::Jwt(jwt()), vec![require(0)], &[]);
    let token = token(HEAD, &format!(r#"{{"exp":{}}}"#, now() + 60), "");
    assert_eq!(status(&rig, "/", &with(&token)), 503);
    let told = rig.notice();
    assert!(told.starts_with("the call: secret key: there is no file `key` in "), "{told}");
}

#[test]
fn a_public_key_is_no_secret() {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
    let pem = |spki: &[u8]| {
        let text = base64url(spki).replace('-', "+").replace('_', "/");
        let pad = "=".repeat((4 - text.len() % 4) % 4);
        format!("-----BEGIN PUBLIC KEY-----\n{text}{pad}\n-----END PUBLIC KEY-----\n")
    };
    // SubjectPublicKeyInfo of RFC 5480 and RFC 8410: its head, then the key.
    let es = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let es_head =
        b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";
    let es_pem = pem(&[&es_head[..], es.public_key().as_ref()].concat());
    let ed = Ed25519KeyPair::generate().unwrap();
    let ed_head = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
    let ed_pem = pem(&[&ed_head[..], ed.public_key().as_ref()].concat());
    let both = format!("{es_pem}{ed_pem}");
    let (rig, _origin) = rig(CallKind::Jwt(jwt()), vec![require(0)], &[("key", &both)]);
    let body = format!(r#"{{"exp":{}}}"#, now() + 60);
    let text =
        |alg: &str| format!("{}.{}", base64url(format!(r#"{{"alg":"{alg}"}}"#).as_bytes()), base64url(body.as_bytes()));
    let es_signed = |alg| {
        let text = text(alg);
        let signature = es.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
        format!("{text}.{}", base64url(signature.as_ref()))
    };
    let ed_signed = |alg| {
        let text = text(alg);
        format!("{text}.{}", base64url(ed.sign(text.as_bytes()).as_ref()))
    };
    assert_eq!(status(&rig, "/", &with(&es_signed("ES256"))), 200);
    assert_eq!(status(&rig, "/", &with(&ed_signed("EdDSA"))), 200);
    let swapped = token(r#"{"alg":"HS256"}"#, &body, &both);
    let line = token(r#"{"alg":"HS256"}"#, &body, es_pem.lines().nth(1).unwrap());
    for forged in [es_signed("EdDSA"), ed_signed("ES256"), es_signed("HS256"), swapped, line] {
        assert_eq!(status(&rig, "/", &with(&forged)), 401, "{forged}");
    }
}

#[test]
fn a_signed_url_holds_until_its_time() {
    let signed = Signed {
        text: hole(Field::Path),
        signature: hole(Field::Query("sig".into())),
        expires: Some(hole(Field::Query("until".into()))),
        keys: vec!["key".into()],
    };
    let (rig, _origin) = rig(CallKind::Signed(signed), vec![require(0)], &[("key", KEY)]);
    let url = |until: &str, signature: &str| status(&rig, &format!("/a?until={until}&sig={signature}"), "");
    let until = (now() + 60).to_string();
    let signature = hmac_of(KEY, &format!("/a\n{until}"));
    assert_eq!(url(&until, &signature), 200);
    assert_eq!(status(&rig, &format!("/b?until={until}&sig={signature}"), ""), 401, "another path");
    let over = (now() - 1).to_string();
    for (until, signature) in [
        (&*over, &*hmac_of(KEY, &format!("/a\n{over}"))),
        (&*until, &*hmac_of("another key", &format!("/a\n{until}"))),
        (&*format!("%2b{until}"), &*hmac_of(KEY, &format!("/a\n+{until}"))),
        (&*until, ""),
        (&*until, &signature[..42]),
        (&*until, &*format!("{signature}=")),
        ("", &*hmac_of(KEY, "/a\n")),
        ("99999999999999999999", &*hmac_of(KEY, "/a\n99999999999999999999")),
    ] {
        assert_eq!(url(until, signature), 401, "{until} {signature}");
    }
    assert_eq!(status(&rig, &format!("/a?until={until}"), ""), 401);
    assert_eq!(url(&format!("{until}&until=1"), &signature), 400, "twice, and differing");
}

#[test]
fn a_value_is_compared_with_a_secret_or_its_lines() {
    let test = |any_line| SecretTest { value: header("x-token"), secret: "keys".into(), any_line };
    let secrets = [("keys", "first\nsecond\n\n third \n")];
    let (rig_of_lines, _o) = rig(CallKind::Secret(test(true)), vec![require(0)], &secrets);
    let of = |token: &str| status(&rig_of_lines, "/", &with(token));
    assert_eq!(
        ["first", "second", "third", "", "firs", "first second", "fourth"].map(of),
        [200, 200, 200, 401, 401, 401, 401]
    );
    let (rig_of_one, _o) = rig(CallKind::Secret(test(false)), vec![require(0)], &[("keys", "the secret\n")]);
    assert_eq!(
        ["the secret", "the secre", "the secret!"].map(|token| status(&rig_of_one, "/", &with(token))),
        [200, 401, 401]
    );
}

#[test]
fn a_session_is_issued_verified_and_ended() {
    let session = |does| {
        Step::Session(Arc::new(Session { cookie: "sid".into(), does, when: Cond::Const(true), loc: Loc::default() }))
    };
    let start = SessionStart { key: "key".into(), sub: header("x-login"), for_ms: 3_600_000, idle_ms: None };
    let mut rules = jwt();
    rules.token = hole(Field::Cookie("sid".into()));
    rules.issuer = Some(fixed("sluice"));
    rules.audience = Some(hole(Field::Host));
    let respond = |text| Answer::Respond { status: 200, body: text, content_type: "text/plain".into() };
    let who = hole(Field::Claim(CallIdx(0), "sub".into()));
    let mut pages = site(
        vec![
            ("/login", after(vec![session(SessionDoes::Start(start))], respond(fixed("in")))),
            ("/logout", after(vec![session(SessionDoes::End)], respond(fixed("out")))),
            ("/*", after(vec![require(0)], respond(who))),
        ],
        Vec::new(),
    );
    pages.calls = vec![call(CallKind::Jwt(rules), "jwt(cookie.sid, …)")];
    let rig = Rig::with_secrets(vec![pages], &[("key", KEY)], 1, |_| {});
    let get = |path: &str, headers: &str| rig.ask(&format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n{headers}\r\n"));
    assert_eq!(get("/", "").status, 401);
    let login = get("/login", "X-Login: ann\r\n");
    let cookie = login.header("set-cookie").unwrap().to_owned();
    let (pair, attributes) = cookie.split_once("; ").unwrap();
    assert_eq!(attributes, "Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=3600");
    let page = get("/", &format!("Cookie: a=1; {pair}\r\n"));
    assert_eq!((page.status, page.text()), (200, "ann"));
    assert_eq!(get("/", &format!("Cookie: {pair}; sid=tossed\r\n")).status, 400, "a tossed cookie");
    let logout = get("/logout", "");
    assert_eq!(logout.header("set-cookie"), Some("sid=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0"));
    // Another key signs, and the one before still verifies.
    let new = "a new key that has thirty-two bytes or more";
    rig.secret("key", &format!("{new}\n{KEY}"));
    assert_eq!(get("/", &format!("Cookie: {pair}\r\n")).text(), "ann");
    let again = get("/login", "X-Login: bob\r\n").header("set-cookie").unwrap().to_owned();
    rig.secret("key", new);
    assert_eq!(get("/", &format!("Cookie: {pair}\r\n")).status, 401);
    assert_eq!(get("/", &format!("Cookie: {}\r\n", again.split("; ").next().unwrap())).text(), "bob");
}

#[test]
fn what_cannot_be_signed_is_not_issued() {
    let start = SessionStart { key: "key".into(), sub: fixed("ann"), for_ms: 1_000, idle_ms: None };
    let does = SessionDoes::Start(start);
    let step = Session { cookie: "sid".into(), does, when: Cond::Const(true), loc: Loc::default() };
    let answer = Answer::Respond { status: 200, body: fixed("in"), content_type: "text/plain".into() };
    let pages = site(vec![("/*", after(vec![Step::Session(Arc::new(step))], answer))], Vec::new());
    let rig = Rig::with_secrets(vec![pages], &[], 1, |_| {});
    let reply = rig.get("/");
    assert_eq!((reply.status, reply.header("set-cookie")), (503, None));
    assert!(rig.notice().starts_with("start session(\"sid\", …): secret key: there is no file"));
}
