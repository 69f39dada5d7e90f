//! `password(…)`: names and passwords against lines of users.

use super::*;
use crate::support::{Origin, pool};
use dsl::tree::ir::{Lines, Password};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
/// As apache2-utils' `htpasswd` wrote them: everybody's password is `pencil`.
const USERS: &str = "# who may\n\
    bcrypt:$2y$05$QbCVi9sEz1IpZmmoLPETBOc1tBOL/q4VcV2ju5QhfVCHsWdIH/W/C\n\
    apr1:$apr1$xtJPU.a8$dSnJnRcTv7jFpoMSAmGIk1\n\
    sha:{SHA}0vxRJJChUDZGC1SJQBQ51tpUB/o=\n";

fn rig(users: &str) -> (Rig, Origin) {
    let origin = Origin::answering(OK);
    let password = Password { credentials: header("authorization"), users: Lines::Secret("users".into()) };
    let calls = vec![call(CallKind::Password(password), "password(secret.users)")];
    let site = guarded(calls, vec![require(0), claim(0, "user", "x-user")], vec![pool(&[origin.address])]);
    (Rig::with_secrets(vec![site], &[("users", users)], 1, |_| {}), origin)
}

/// `Authorization: Basic …`
fn basic(name: &str, password: &str) -> String {
    let mut text = base64url(format!("{name}:{password}").as_bytes()).replace('-', "+").replace('_', "/");
    text.extend(std::iter::repeat_n('=', (4 - text.len() % 4) % 4));
    format!("Authorization: Basic {text}\r\n")
}

#[test]
fn users_of_htpasswd_pass_and_are_told() {
    let (rig, origin) = rig(USERS);
    for user in ["bcrypt", "apr1", "sha"] {
        assert_eq!(status(&rig, "/", &basic(user, "pencil")), 200, "{user}");
        let head = origin.heads().pop().unwrap().to_ascii_lowercase();
        assert!(head.contains(&format!("x-user: {user}\r\n")), "{head}");
        // From what is known now.
        assert_eq!(status(&rig, "/", &basic(user, "pencil")), 200, "{user}");
        assert_eq!(status(&rig, "/", &basic(user, "pencils")), 401, "{user}");
    }
    assert_eq!(status(&rig, "/", &basic("nobody", "pencil")), 401);
    assert_eq!(status(&rig, "/", ""), 401);
}
