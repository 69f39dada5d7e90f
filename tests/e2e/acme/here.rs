//! Names that this gateway answers for: TLS-ALPN-01, HTTP-01, from one to the other.

use super::{Front, Said, authority, failed, is_good, order};
use dsl::tree::ir::{Challenge, Eab};
use sluice::tls::acme::Cause;
use sluice_tests::pebble::Pebble;
use sluice_tests::ports::Refusing;

#[tokio::test]
async fn tls_alpn_01() {
    let front = Front::start().await;
    let pebble = Pebble::setup().tls(front.tls.port()).start();
    let said = Said::of(vec![authority(&pebble.directory(), Some(&pebble.root()))]).challenges(&[Challenge::TlsAlpn]);
    let issued = said.issuers(&front.board).issue(&order("a.sluice-tests.net")).await.unwrap();
    is_good(&issued, "a.sluice-tests.net", &pebble.issued_root());
    assert_eq!(*issued.by, *pebble.directory());
    assert!(front.board.is_empty(), "the challenge is gone with its order");
    // After a start the account that was kept goes on.
    let issued = said.issuers(&front.board).issue(&order("b.sluice-tests.net")).await.unwrap();
    is_good(&issued, "b.sluice-tests.net", &pebble.issued_root());
    let made = pebble.log().matches("There are now 1 accounts in memory").count();
    assert!(pebble.log().matches("There are now 2 accounts").count() == 0 && made <= 1, "{}", pebble.log());
}

#[tokio::test]
async fn http_01() {
    let front = Front::start().await;
    let pebble = Pebble::setup().http(front.http.port()).start();
    let said = Said::of(vec![authority(&pebble.directory(), Some(&pebble.root()))]).challenges(&[Challenge::Http]);
    let issued = said.issuers(&front.board).issue(&order("a.sluice-tests.net")).await.unwrap();
    is_good(&issued, "a.sluice-tests.net", &pebble.issued_root());
}

#[tokio::test]
async fn from_tls_alpn_to_http_and_neither() {
    let front = Front::start().await;
    let nobody = Refusing::new();
    let pebble = Pebble::setup().tls(nobody.addr().port()).http(front.http.port()).start();
    let said = Said::of(vec![authority(&pebble.directory(), Some(&pebble.root()))]);
    let issuers = said.issuers(&front.board);
    let issued = issuers.issue(&order("a.sluice-tests.net")).await.unwrap();
    is_good(&issued, "a.sluice-tests.net", &pebble.issued_root());

    let deaf = Pebble::setup().tls(nobody.addr().port()).http(nobody.addr().port()).start();
    let said = Said::of(vec![authority(&deaf.directory(), Some(&deaf.root()))]);
    let issuers = said.issuers(&front.board);
    let why = failed(issuers.issue(&order("a.sluice-tests.net")).await);
    assert_eq!(why.kind, Cause::Validation, "{why:?}");
    assert!(why.said.contains("by tls-alpn-01:") && why.said.contains("by http-01:"), "{why}");
    assert!(why.said.contains("(connection)"), "{why}");
    // What counts at the authority is not spent twice for each of the next tries.
    let why = failed(issuers.issue(&order("a.sluice-tests.net")).await);
    assert!(why.said.contains("by tls-alpn-01:") && !why.said.contains("by http-01:"), "{why}");
    assert!(front.board.is_empty());
}

#[tokio::test]
async fn five_nonces_of_a_hundred_turned_away() {
    let front = Front::start().await;
    let pebble = Pebble::setup().tls(front.tls.port()).http(front.http.port()).rejecting_nonces(5).start();
    let said = Said::of(vec![authority(&pebble.directory(), Some(&pebble.root()))]);
    let issuers = said.issuers(&front.board);
    let names: Vec<String> = (0..6).map(|n| format!("n{n}.sluice-tests.net")).collect();
    let orders: Vec<_> = names.iter().map(|name| order(name)).collect();
    let mut waiting = tokio::task::JoinSet::new();
    for order in orders {
        let issuers = issuers.clone();
        waiting.spawn(async move { (order.name.clone(), issuers.issue(&order).await) });
    }
    let root = pebble.issued_root();
    while let Some(done) = waiting.join_next().await {
        let (name, issued) = done.unwrap();
        is_good(&issued.unwrap(), &name, &root);
    }
}

#[tokio::test]
async fn an_account_that_is_bound_to_a_key() {
    let front = Front::start().await;
    let key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
    let pebble = Pebble::setup().tls(front.tls.port()).binding("kid-1", key).start();
    let bound = |secret: &str| {
        let mut at = authority(&pebble.directory(), Some(&pebble.root()));
        at.eab = Some(Eab { kid: "kid-1".into(), key: "eab".into() });
        Said::of(vec![at]).challenges(&[Challenge::TlsAlpn]).secret("eab", secret)
    };
    let mut said = bound(key);
    let issued = said.issuers(&front.board).issue(&order("a.sluice-tests.net")).await.unwrap();
    is_good(&issued, "a.sluice-tests.net", &pebble.issued_root());

    let other = bound("AAAAZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W");
    let why = failed(other.issuers(&front.board).issue(&order("b.sluice-tests.net")).await);
    assert_eq!(why.kind, Cause::Refused, "{why:?}");
    assert!(!why.said.contains("AAAAZM6e"), "{why}");

    let why = failed(bound("no base64!").issuers(&front.board).issue(&order("b.sluice-tests.net")).await);
    assert_eq!(why.kind, Cause::Ours);
    assert!(why.said.contains("eab") && !why.said.contains("no base64!"), "{why}");

    // An account that was bound once is known by its key: the other crate, which cannot bind, may go on with it.
    said.acme.authorities[0].eab = None;
    let issued = said.issuers(&front.board).issue(&order("c.sluice-tests.net")).await.unwrap();
    is_good(&issued, "c.sluice-tests.net", &pebble.issued_root());
    // Without it nobody gets in.
    let stranger = Said::of(said.acme.authorities.clone()).challenges(&[Challenge::TlsAlpn]);
    let why = failed(stranger.issuers(&front.board).issue(&order("d.sluice-tests.net")).await);
    assert_eq!(why.kind, Cause::Refused, "{why:?}");
    assert!(why.said.contains("externalAccountRequired"), "{why}");
}
