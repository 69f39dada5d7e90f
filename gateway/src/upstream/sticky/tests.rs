//! Cookies: what they name, and what is none.

use super::*;
use crate::sites::testing::TempDir;
use crate::upstream::{PoolHandle, Pools, Tried, Upstreams, testing};
use std::path::Path;
use std::time::Duration;

fn pool(name: &str, sticky: ir::Sticky) -> ir::Pool {
    let eject = ir::Eject { failures: Some(1), ratio: None, for_ms: 30_000, up_to: 50 };
    ir::Pool { sticky: Some(sticky), eject: Some(eject), ..testing::pool(name, 3) }
}

fn said(secret: Option<&str>, for_ms: Option<u64>) -> ir::Sticky {
    ir::Sticky { cookie: "route".into(), secret: secret.map(Into::into), for_ms }
}

fn intern(pools: &Pools, pool: ir::Pool) -> Arc<PoolHandle> {
    pools.intern(&Arc::new(pool), Path::new(""))
}

fn whom(handle: &PoolHandle, index: usize) -> Whom {
    Whom::of(handle.members().endpoint(index))
}

#[test]
fn a_cookie_names_an_endpoint_over_restarts() {
    let temp = TempDir::new("sticky-restart");
    let now = SystemTime::now();
    let started = || Pools::new(1).keeping(temp.path());
    let before = intern(&started(), pool("shop", said(None, None)));
    let sticky = before.sticky().expect("it is sticky");
    let cookie = sticky.seal(whom(&before, 1), now).expect("a key");
    assert_eq!(cookie.len(), 59);
    assert!(cookie.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
    assert_ne!(sticky.seal(whom(&before, 1), now), Some(cookie.clone()), "no two are alike");
    // As after a restart, with the endpoints in another order.
    let mut turned = pool("shop", said(None, None));
    turned.endpoints.reverse();
    let after = intern(&started(), turned);
    let opened = after.sticky().expect("it is sticky").open(cookie.as_bytes(), now).expect("a cookie");
    assert_eq!(opened.find(&after.members()), Some(1));
    assert_eq!(after.members().endpoint(1).port(), 2);
    // Without a data directory a key ends with its process.
    let other = intern(&Pools::new(1), pool("shop", said(None, None)));
    assert_eq!(other.sticky().expect("it is sticky").open(cookie.as_bytes(), now), None);
}

#[test]
fn what_was_changed_or_is_of_another_pool_is_no_cookie() {
    let now = SystemTime::now();
    let pools = Pools::new(1);
    let handle = intern(&pools, pool("shop", said(None, None)));
    let sticky = handle.sticky().expect("it is sticky");
    let cookie = sticky.seal(whom(&handle, 0), now).expect("a key").into_bytes();
    assert!(sticky.open(&cookie, now).is_some());
    for at in 0..cookie.len() {
        let mut changed = cookie.clone();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        assert_eq!(sticky.open(&changed, now), None, "{at}");
    }
    for other in [&b""[..], b"x", &cookie[1..], &[&cookie[..], b"A"].concat()] {
        assert_eq!(sticky.open(other, now), None);
    }
    let elsewhere = intern(&pools, pool("admin", said(None, None)));
    assert_eq!(elsewhere.sticky().expect("it is sticky").open(&cookie, now), None, "another pool");
    let renamed = ir::Sticky { cookie: "other".into(), ..said(None, None) };
    let renamed = intern(&pools, pool("shop", renamed));
    assert_eq!(renamed.sticky().expect("it is sticky").open(&cookie, now), None, "another cookie");
}

#[test]
fn a_cookie_ends_when_it_says() {
    let handle = intern(&Pools::new(1), pool("shop", said(None, Some(3_600_000))));
    let sticky = handle.sticky().expect("it is sticky");
    let now = SystemTime::now();
    let cookie = sticky.seal(whom(&handle, 0), now).expect("a key");
    assert_eq!(sticky.max_age(), Some(3_600));
    assert!(sticky.open(cookie.as_bytes(), now + Duration::from_secs(3_599)).is_some());
    assert_eq!(sticky.open(cookie.as_bytes(), now + Duration::from_secs(3_601)), None);
}

#[test]
fn nodes_with_the_same_secret_open_each_others_cookies() {
    let temp = TempDir::new("sticky-secret");
    let now = SystemTime::now();
    let write = |text: &str| std::fs::write(temp.path().join("sticky"), text).unwrap();
    write("correct horse battery staple");
    let node = || {
        let secrets = Arc::new(Secrets::new(Some(temp.path().to_path_buf())));
        secrets.look();
        let handle =
            intern(&Pools::new(1).with_secrets(Arc::clone(&secrets)), pool("shop", said(Some("sticky"), None)));
        (handle, secrets)
    };
    let ((one, _), (two, secrets)) = (node(), node());
    let (one_sticky, two_sticky) = (one.sticky().expect("it is sticky"), two.sticky().expect("it is sticky"));
    let cookie = one_sticky.seal(whom(&one, 2), now).expect("a key");
    assert_eq!(two_sticky.open(cookie.as_bytes(), now), Some(whom(&two, 2)));
    // Another secret, without a restart.
    write("another one, of another length");
    assert_eq!(secrets.look().new, ["sticky".into()]);
    assert_eq!(two_sticky.open(cookie.as_bytes(), now), None);
    assert!(two_sticky.seal(whom(&two, 2), now).is_some());
    // Without the secret there are no cookies.
    let none = intern(&Pools::new(1), pool("shop", said(Some("sticky"), None)));
    let sticky = none.sticky().expect("it is sticky");
    assert_eq!((sticky.seal(whom(&none, 0), now), sticky.open(cookie.as_bytes(), now)), (None, None));
}

#[test]
fn whom_a_cookie_names_is_asked_while_it_is_well() {
    let handle = intern(&Pools::new(1), pool("shop", said(None, None)));
    let members = handle.members();
    let upstreams = Upstreams::default();
    let keeps = |whom: Whom, now| upstreams.keeps(&members, whom, now);
    let gone = Whom(17);
    assert_eq!((keeps(whom(&handle, 1), 1_000), keeps(gone, 1_000)), (Some(1), None));
    upstreams.failed(&members, 1, 1_000);
    assert_eq!(keeps(whom(&handle, 1), 1_500), None, "it rests");
    assert_eq!(keeps(whom(&handle, 1), 3_000), Some(1));
    members.note(1, crate::upstream::Outcome::Reset, 3_000);
    assert_eq!(keeps(whom(&handle, 1), 3_000), None, "it is ejected");
    assert!(upstreams.choose(&members, None, Tried::default(), 3_000).is_some());
}
