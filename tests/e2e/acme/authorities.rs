//! Authorities in trouble, what they say of renewal, and what is ordered of them.

use super::{Front, Said, authority, failed, is_good, order};
use dsl::tree::ir::Challenge;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sluice::tls::acme::{Cause, Order};
use sluice_tests::authority::{Authority, Mood};
use sluice_tests::pebble::Pebble;
use sluice_tests::ports::Refusing;
use std::time::{Duration, SystemTime};

const NAME: &str = "a.sluice-tests.net";

#[tokio::test]
async fn too_many_requests_are_answered_by_leaving_it_alone() {
    let front = Front::start().await;
    for secure in [true, false] {
        let busy = Authority::start(secure);
        busy.mood(Mood::Limited(300));
        let root = busy.root();
        let said =
            Said::of(vec![authority(&busy.directory(), secure.then_some(&*root))]).challenges(&[Challenge::Http]);
        let issuers = said.issuers(&front.board);
        let why = failed(issuers.issue(&order(NAME)).await);
        assert_eq!((why.kind, why.retry_after), (Cause::RateLimited, Some(Duration::from_secs(300))), "{why}");
        // The crate that does not show the header is asked first, where it can be; then the other one, once.
        let orders = busy.orders().len();
        assert_eq!(orders, if secure { 2 } else { 1 });
        let why = failed(issuers.issue(&order(NAME)).await);
        assert_eq!(why.kind, Cause::RateLimited);
        assert!(why.retry_after.is_some_and(|left| left > Duration::from_secs(290)), "{why:?}");
        assert_eq!(busy.orders().len(), orders, "it is left alone");
        // Another name is asked for: the limit may have been the first one's.
        failed(issuers.issue(&order("b.sluice-tests.net")).await);
        assert_eq!(busy.orders().len(), orders + 1);
    }
}

#[tokio::test]
async fn from_one_authority_to_the_next() {
    let front = Front::start().await;
    let (gone, spare) = (Refusing::new(), Authority::start(false));
    let down = authority(&format!("http://{}/dir", gone.addr()), None);
    let why = failed(Said::of(vec![down.clone()]).issuers(&front.board).issue(&order(NAME)).await);
    assert_eq!(why.kind, Cause::Unreachable, "{why:?}");
    assert!(why.said.contains(&gone.addr().to_string()), "{why}");

    let both = |first| Said::of(vec![first, authority(&spare.directory(), None)]);
    let issued = both(down).issuers(&front.board).issue(&order(NAME)).await.unwrap();
    assert_eq!(*issued.by, *spare.directory());

    let busy = Authority::start(false);
    for mood in [Mood::Limited(60), Mood::Trouble] {
        busy.mood(mood);
        let issued = both(authority(&busy.directory(), None)).issuers(&front.board).issue(&order(NAME)).await.unwrap();
        assert_eq!(*issued.by, *spare.directory());
    }
}

#[tokio::test]
async fn a_refusal_is_no_reason_to_ask_another() {
    let front = Front::start().await;
    let nobody = Refusing::new();
    let pebble = Pebble::setup().tls(nobody.addr().port()).http(nobody.addr().port()).start();
    let spare = Authority::start(false);
    let said =
        Said::of(vec![authority(&pebble.directory(), Some(&pebble.root())), authority(&spare.directory(), None)]);
    let why = failed(said.issuers(&front.board).issue(&order(NAME)).await);
    assert_eq!(why.kind, Cause::Validation);
    assert_eq!(spare.asked(), [""; 0]);
}

/// Whoever waits for an order may give up: nothing of it is left, and the next one goes on as if nothing was.
#[tokio::test]
async fn an_authority_that_does_not_answer() {
    let front = Front::start().await;
    let silent = Authority::start(false);
    silent.mood(Mood::Silent);
    let issuers = Said::of(vec![authority(&silent.directory(), None)]).issuers(&front.board);
    let asked = tokio::spawn({
        let issuers = issuers.clone();
        async move { issuers.issue(&order(NAME)).await.map(|issued| issued.chain) }
    });
    while silent.orders().is_empty() {
        tokio::task::yield_now().await;
    }
    asked.abort();
    assert!(asked.await.unwrap_err().is_cancelled());
    assert!(front.board.is_empty());
    silent.mood(Mood::Well);
    assert_eq!(*issuers.issue(&order(NAME)).await.unwrap().by, *silent.directory());
}

#[tokio::test]
async fn an_authority_that_comes_later() {
    let front = Front::start().await;
    let port = sluice_tests::ports::free();
    let later = Pebble::setup().tls(front.tls.port()).at(port);
    let directory = format!("https://127.0.0.1:{port}/dir");
    // Its root is not there either: that is ours to mend, and said.
    let absent = authority(&directory, Some(std::path::Path::new("/nowhere/root.pem")));
    let why = failed(Said::of(vec![absent]).issuers(&front.board).issue(&order(NAME)).await);
    assert_eq!(why.kind, Cause::Ours);
    assert!(why.said.contains("/nowhere/root.pem"), "{why}");
    let other = Authority::start(true);
    let issuers = Said::of(vec![authority(&directory, Some(&other.root()))]).issuers(&front.board);
    assert_eq!(failed(issuers.issue(&order(NAME)).await).kind, Cause::Unreachable);
    let pebble = later.start();
    let issuers = Said::of(vec![authority(&directory, Some(&pebble.root()))]).issuers(&front.board);
    let issued = issuers.issue(&order(NAME)).await.unwrap();
    is_good(&issued, NAME, &pebble.issued_root());
}

#[tokio::test]
async fn renewal_information_profiles_and_what_is_replaced() {
    let front = Front::start().await;
    let at = Authority::start(false);
    let mut of = authority(&at.directory(), None);
    of.profile = Some("shortlived".into());
    let issuers = Said::of(vec![of]).challenges(&[Challenge::Http]).issuers(&front.board);
    let issued = issuers.issue(&order(NAME)).await.unwrap();
    assert_eq!(at.orders()[0]["profile"], "shortlived");
    assert_eq!(at.orders()[0].get("replaces"), None);
    let leaf = CertificateDer::from_pem_slice(issued.chain.as_bytes()).unwrap().into_owned();

    let window = issuers.window(&leaf).await.unwrap();
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_925_092_800);
    assert_eq!((window.start, window.end), (start, start + Duration::from_secs(86_400)));
    assert_eq!(window.explanation.as_deref(), Some("https://authority.test/why"));
    assert!(window.ask_again > Duration::from_secs(21_590), "{window:?}");

    let renewal = Order { replaces: Some(leaf), ..order(NAME) };
    issuers.issue(&renewal).await.unwrap();
    let replaced = at.orders()[1]["replaces"].as_str().unwrap().to_owned();
    let asked = at.asked().into_iter().find(|asked| asked.starts_with("GET /ari/")).unwrap();
    assert_eq!(asked, format!("GET /ari/{replaced}"), "the certificate's own identifier (RFC 9773 section 4.1)");
}

#[tokio::test]
async fn an_authority_without_renewal_information_issues_all_the_same() {
    let front = Front::start().await;
    let pebble = Pebble::setup().http(front.http.port()).start();
    let said = Said::of(vec![authority(&pebble.directory(), Some(&pebble.root()))]).challenges(&[Challenge::Http]);
    let issuers = said.issuers(&front.board);
    let issued = issuers.issue(&order(NAME)).await.unwrap();
    let leaf = CertificateDer::from_pem_slice(issued.chain.as_bytes()).unwrap().into_owned();
    assert_eq!(issuers.window(&leaf).await, None);
    let again = issuers.issue(&Order { replaces: Some(leaf), ..order(NAME) }).await.unwrap();
    is_good(&again, NAME, &pebble.issued_root());
}
