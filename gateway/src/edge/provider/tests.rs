//! When a provider is asked, in paused time.

use super::*;
use std::sync::Arc;

fn provider() -> Arc<Provider> {
    let at = Identity { issuer: None, keys: None, trust: None, dials: None, login: false };
    Arc::new(Provider::new("corp".into(), at, None, None, Arc::default()))
}

#[tokio::test(start_paused = true)]
async fn attack_a_flood_of_unknown_keys_asks_once_in_ten_seconds() {
    let provider = provider();
    provider.begins();
    provider.ends();
    let mut asked = 0;
    let begin = Instant::now();
    // A hundred seconds of tokens, each of another key.
    while begin.elapsed() < Duration::from_secs(100) {
        if let Some(wait) = provider.renewed() {
            asked += 1;
            let joined = provider.renewed().expect("who comes meanwhile joins in");
            provider.begins();
            provider.ends();
            tokio::join!(wait, joined);
        }
        tokio::time::advance(Duration::from_millis(50)).await;
    }
    assert!((9..=10).contains(&asked), "{asked}");
    assert_eq!(provider.waiting.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn attack_a_provider_that_does_not_answer_holds_nobody_for_long() {
    let provider = provider();
    let begin = Instant::now();
    let waits: Vec<_> = (0..WAITING).map(|_| provider.renewed().expect("the first answer is waited for")).collect();
    assert!(provider.renewed().is_none(), "no more wait");
    for wait in waits {
        wait.await;
    }
    assert_eq!(begin.elapsed(), PATIENCE);
    assert!(provider.renewed().is_some(), "there is room again");
}
