use super::ring::LIFETIME;
use super::*;
use crate::sites::testing::TempDir;
use std::fs;
use std::sync::Mutex;

const HOUR: u64 = 60 * 60;
/// When these tests begin; any time will do.
const BEGIN: u64 = 2_000_000_000;

type Told = Arc<Mutex<Vec<String>>>;

/// A gateway's tickets without the thread: the clock is given.
fn by_hand(file: Option<PathBuf>) -> (Tickets, Keeper<impl Fn(String)>, Told) {
    let ring = Arc::new(ArcSwap::from_pointee(file.as_deref().map_or_else(Ring::default, |file| read(file).unwrap())));
    let told = Told::default();
    let tell = {
        let told = Arc::clone(&told);
        move |words| told.lock().unwrap().push(words)
    };
    let keeper = Keeper { ring: Arc::clone(&ring), file, told: false, tell };
    (Tickets { ring, _turning: Arc::new(channel().0) }, keeper, told)
}

fn started(data: Option<&Path>) -> (Tickets, Vec<String>) {
    let told = Told::default();
    let telling = Arc::clone(&told);
    let tickets = Tickets::start(data, move |words| telling.lock().unwrap().push(words)).unwrap();
    let told = told.lock().unwrap().clone();
    (tickets, told)
}

#[test]
fn a_ticket_opens_within_its_boundary_only() {
    let (tickets, mut keeper, _) = by_hand(None);
    keeper.turn(BEGIN);
    let (one, same) = (tickets.of(boundary(&[b"one"])), tickets.of(boundary(&[b"one"])));
    let ticket = one.encrypt(b"state").unwrap();
    assert_eq!(same.decrypt(&ticket).as_deref(), Some(&b"state"[..]), "another worker's");
    assert_eq!(tickets.of(boundary(&[b"two"])).decrypt(&ticket), None);
    assert_ne!(one.encrypt(b"state").unwrap()[16..], ticket[16..], "no two tickets are alike");
    // Nor by putting the name of the other boundary's key before it.
    let mut forged = tickets.of(boundary(&[b"two"])).encrypt(b"state").unwrap();
    forged.splice(16.., ticket[16..].iter().copied());
    assert_eq!(tickets.of(boundary(&[b"two"])).decrypt(&forged), None);
}

#[test]
fn parts_of_a_boundary_do_not_run_into_each_other() {
    let all = [boundary(&[b"ab", b"c"]), boundary(&[b"a", b"bc"]), boundary(&[b"abc"]), boundary(&[b"ab", b"c", b""])];
    let distinct: std::collections::HashSet<_> = all.iter().collect();
    assert_eq!(distinct.len(), all.len());
}

#[test]
fn a_ticket_opens_for_its_lifetime_and_its_secret_ends_soon_after() {
    let (tickets, mut keeper, _) = by_hand(None);
    keeper.turn(BEGIN);
    let within = tickets.of(boundary(&[b"one"]));
    let first = within.encrypt(b"state").unwrap();
    let (mut last_sealed, mut last_opened, mut names) = (BEGIN, BEGIN, vec![first[..16].to_vec()]);
    for now in (BEGIN..BEGIN + 48 * HOUR).step_by(60) {
        keeper.turn(now);
        let name = within.encrypt(b"state").unwrap()[..16].to_vec();
        if name == first[..16] {
            last_sealed = now;
        }
        if !names.contains(&name) {
            names.push(name);
        }
        if within.decrypt(&first).is_some() {
            assert!(now - last_opened <= 60, "it opened no more for a while");
            last_opened = now;
        }
        assert!(tickets.ring.load().secrets().len() <= 4);
    }
    let sealed = last_sealed - BEGIN;
    assert!((6 * HOUR - 60..=6 * HOUR + HOUR / 2).contains(&sealed), "it sealed for {sealed} s");
    let opened = last_opened - last_sealed;
    assert!(opened.abs_diff(u64::from(LIFETIME)) <= 60, "it opened for {opened} s after that");
    assert!((7..=8).contains(&names.len()), "{} secrets in 48 hours", names.len());
    assert_eq!(within.lifetime(), LIFETIME);
}

#[test]
fn secrets_of_gateways_do_not_turn_together() {
    let turns = |_| {
        let ring = Ring::default().turned(BEGIN).unwrap();
        (BEGIN..).step_by(60).find(|now| ring.turned(*now).is_some()).unwrap()
    };
    let times: std::collections::HashSet<u64> = (0..50).map(turns).collect();
    assert!(times.len() > 10, "{times:?}");
}

#[test]
fn a_clock_that_jumps_leaves_secrets_that_seal() {
    let mut ring = Ring::default();
    for now in [BEGIN, BEGIN - HOUR / 2, 0, BEGIN + 100 * HOUR, BEGIN, u64::MAX, BEGIN, BEGIN + 7 * HOUR, BEGIN] {
        ring = ring.turned(now).unwrap_or(ring);
        assert!((1..=4).contains(&ring.secrets().len()), "{ring:?} at {now}");
    }
    // Half an hour back is no reason for another secret.
    let ring = Ring::default().turned(BEGIN).unwrap();
    assert_eq!(ring.turned(BEGIN - HOUR / 2), None);
    assert!(ring.turned(BEGIN - 2 * HOUR).is_some_and(|turned| turned.secrets() != ring.secrets()));
}

#[test]
fn garbage_opens_nothing() {
    let (tickets, mut keeper, _) = by_hand(None);
    keeper.turn(BEGIN);
    let within = tickets.of(boundary(&[b"one"]));
    let ticket = within.encrypt(b"state").unwrap();
    for end in 0..ticket.len() {
        assert_eq!(within.decrypt(&ticket[..end]), None, "{end} bytes of it");
        let mut flipped = ticket.clone();
        flipped[end] ^= 1;
        assert_eq!(within.decrypt(&flipped), None, "byte {end} changed");
    }
    assert_eq!(within.decrypt(&[ticket.as_slice(), b"x"].concat()), None);
    assert_eq!(within.decrypt(&within.encrypt(b"").unwrap()).as_deref(), Some(&b""[..]));
}

#[test]
fn a_restart_opens_the_tickets_of_before() {
    let temp = TempDir::new("tickets");
    let (tickets, told) = started(Some(temp.path()));
    assert_eq!(told, [""; 0]);
    let ticket = tickets.of(boundary(&[b"one"])).encrypt(b"state").unwrap();
    let (after, told) = started(Some(temp.path()));
    assert_eq!(told, [""; 0]);
    assert_eq!(after.of(boundary(&[b"one"])).decrypt(&ticket).as_deref(), Some(&b"state"[..]));
    assert_eq!(after.of(boundary(&[b"two"])).decrypt(&ticket), None);
    let mode = fs::metadata(temp.path().join(FILE)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let (elsewhere, _) = started(None);
    assert_eq!(elsewhere.of(boundary(&[b"one"])).decrypt(&ticket), None, "without a directory");
}

#[test]
fn a_file_that_cannot_be_used_is_told_and_replaced() {
    let temp = TempDir::new("tickets-broken");
    let path = temp.path().join(FILE);
    drop(started(Some(temp.path())));
    let whole = fs::read(&path).unwrap();
    let mut flipped = whole.clone();
    flipped[30] ^= 1;
    let cases = [&b""[..], b"sluice tickets 1\n", &whole[..whole.len() - 1], &whole[..40], &flipped, &[0; 5000]];
    for content in cases {
        fs::write(&path, content).unwrap();
        let (_, told) = started(Some(temp.path()));
        let expected = format!(
            "{}: damaged, or not ours; session tickets have new keys, so clients of before shake hands in full once",
            path.display()
        );
        assert_eq!(told, [expected], "{} bytes", content.len());
        assert_eq!(started(Some(temp.path())).1, [""; 0], "the new file is good");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let (_, told) = started(Some(temp.path()));
    assert!(told[0].contains("others than its owner may use it"), "{told:?}");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn what_a_crash_left_beside_the_file_is_no_trouble() {
    let temp = TempDir::new("tickets-crash");
    fs::write(temp.path().join("tickets.new"), "half of it").unwrap();
    let (tickets, told) = started(Some(temp.path()));
    assert_eq!(told, [""; 0]);
    let ticket = tickets.of(boundary(&[])).encrypt(b"state").unwrap();
    assert!(started(Some(temp.path())).0.of(boundary(&[])).decrypt(&ticket).is_some());
}

#[test]
fn what_cannot_be_written_is_told_once_and_tried_again() {
    let temp = TempDir::new("tickets-full");
    let data = temp.path().join("data");
    let (tickets, mut keeper, told) = by_hand(Some(data.join(FILE)));
    // There is no such directory.
    keeper.turn(BEGIN);
    keeper.turn(BEGIN + 60);
    let words = told.lock().unwrap().clone();
    assert_eq!(words.len(), 1, "{words:?}");
    assert!(words[0].starts_with("cannot keep the keys of session tickets: ") && words[0].contains(FILE), "{words:?}");
    let ticket = tickets.of(boundary(&[])).encrypt(b"state").unwrap();
    fs::create_dir(&data).unwrap();
    keeper.turn(BEGIN + 120);
    let (after, mut again, _) = by_hand(Some(data.join(FILE)));
    again.turn(BEGIN + 180);
    assert!(after.of(boundary(&[])).decrypt(&ticket).is_some());
    assert_eq!(told.lock().unwrap().len(), 1);
}

#[test]
fn secrets_are_in_no_words() {
    let (tickets, mut keeper, _) = by_hand(None);
    keeper.turn(BEGIN);
    let said = format!("{tickets:?} {:?} {:?}", tickets.of(boundary(&[])), tickets.ring.load());
    assert!(!said.contains(", "), "no list of bytes: {said}");
}
