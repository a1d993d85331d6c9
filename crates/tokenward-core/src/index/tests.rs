//! Tests of the index: what is found, what it takes in memory, and that nobody can make records cluster.

use std::sync::LazyLock;

use sha2::{Digest as _, Sha256};

use super::*;

fn digest(n: u64) -> Digest {
    Digest(Sha256::digest(n.to_be_bytes()).into())
}

/// Four characters that spread as a checksum does; some secrets share theirs.
fn last_four(n: u64) -> &'static str {
    static ALL: LazyLock<Vec<String>> =
        LazyLock::new(|| (0..40_000).map(|n| format!("{n:04x}")[..4].to_owned()).collect());
    &ALL[(n % 40_000) as usize]
}

fn with<R>(index: &Index, n: u64, read: impl FnOnce(Option<FoundRecord<'_>>) -> R) -> R {
    read(index.place(last_four(n)).find(&digest(n)))
}

fn entry(n: u64, name: &str) -> Entry<'_> {
    Entry {
        last_four: Some(last_four(n)),
        digest: digest(n),
        token: Uuid::from_u128(n.into()),
        kind: Kind::Token,
        organization: 0,
        role: (n % 7) as u32,
        state: State::Active,
        expires_at: n.is_multiple_of(3).then_some(Time(n as i64)),
        restrictions: None,
        replaced: n.is_multiple_of(2),
        version: n as u16,
        name,
    }
}

#[test]
fn a_secret_that_was_digested_anew_takes_the_place_of_its_older_digest() {
    let index = Index::default();
    for n in 0..5_000 {
        index.put_token(&entry(n, "t"));
    }
    let (rekeyed, ended) = (|n: u64| n.is_multiple_of(7), |n: u64| n.is_multiple_of(11));
    for n in 0..5_000 {
        let newer = if rekeyed(n) { digest(1_000_000 + n) } else { digest(n) };
        let state = if ended(n) { State::Revoked(Time(1_000)) } else { State::Disabled };
        index.put_token(&Entry { digest: newer, state, ..entry(n, "t") });
    }
    assert_eq!((index.len(), index.ended.len()), (5_000 - 455, 455));
    for n in 0..5_000u64 {
        with(&index, n, |found| assert_eq!(found.is_none(), rekeyed(n) || ended(n), "{n}"));
        let newer = index.place(last_four(n)).find(&digest(1_000_000 + n)).map(|found| found.state);
        assert_eq!(newer, (rekeyed(n) && !ended(n)).then_some(State::Disabled), "{n}");
    }
}

#[test]
fn every_token_is_found_again_and_no_other() {
    let index = Index::default();
    for n in 0..50_000 {
        index.put_token(&entry(n, &format!("token-{n}")));
    }
    assert_eq!(index.len(), 50_000);
    for n in 0..50_000u64 {
        with(&index, n, |found| {
            let found = found.unwrap_or_else(|| panic!("{n} is missing"));
            assert_eq!((found.token, found.role), (Uuid::from_u128(n.into()), (n % 7) as u32));
            assert_eq!(found.name(), format!("token-{n}"));
            assert_eq!(found.expires_at, n.is_multiple_of(3).then_some(Time(n as i64)));
            assert_eq!((found.replaced, found.version), (n.is_multiple_of(2), n as u16));
        });
    }
    for n in 50_000..100_000 {
        with(&index, n, |found| assert!(found.is_none(), "{n}"));
    }
}

#[test]
fn the_ends_of_real_texts_are_spread_evenly() {
    // Checksums are as good as random: here by steps through all that four characters can say.
    const DIGITS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let index = Index::default();
    let all = 62usize.pow(4);
    for n in 0..1_000_000usize {
        let mut rest = n * 7_777_777 % all;
        let last_four: String = (0..4)
            .map(|_| {
                let digit = DIGITS[rest % 62];
                rest /= 62;
                char::from(digit)
            })
            .collect();
        index.put_token(&Entry { last_four: Some(&last_four), ..entry(n as u64, "x") });
    }
    assert_spread(&index);
}

#[test]
fn a_million_texts_of_others_that_end_alike_are_spread_as_evenly() {
    let index = Index::default();
    assert!(!index.has_registered());
    for n in 0..1_000_000u64 {
        index.put_token(&Entry { last_four: None, ..entry(n, "x") });
    }
    assert!(index.has_registered());
    assert_spread(&index);
    let found = |n: u64| index.place_of_registered(&digest(n)).find(&digest(n)).map(|found| found.token);
    assert_eq!(found(999_999), Some(Uuid::from_u128(999_999)));
    assert_eq!(found(1_000_000), None);
    with(&index, 5, |found| assert!(found.is_none(), "not by what its text ends in"));
}

fn assert_spread(index: &Index) {
    let shards: Vec<_> = index.shards.iter().map(|shard| shard.read().unwrap()).collect();
    let fullest = shards.iter().map(|shard| shard.taken).max().unwrap();
    assert!(fullest < 2 * 1_000_000 / SHARDS, "{fullest}");
    // How far from home: one place on average where three quarters are taken (Knuth vol. 3 §6.4: 1.5).
    let away = |shard: &Shard| -> usize {
        let size = shard.records.len();
        let taken = shard.records.iter().enumerate().filter(|(_, record)| !record.is_free());
        taken.map(|(at, record)| (at + size - shard.home(record.locator)) % size).sum()
    };
    let average = shards.iter().map(|shard| away(shard)).sum::<usize>() as f64 / 1e6;
    assert!(average < 2.0, "{average}");
}

#[test]
fn a_token_takes_at_most_128_bytes_with_a_name_of_20() {
    let index = Index::default();
    for n in 0..300_000 {
        index.put_token(&entry(n, &format!("a-name-of-twenty-{n:03}")[..20]));
    }
    let each = index.bytes() as f64 / index.len() as f64;
    assert!(each <= 128.0, "{each}");
}

#[test]
fn room_that_was_made_before_holds_what_comes_and_more() {
    let index = Index::default();
    index.reserve(20_000);
    let reserved = index.bytes();
    for n in 0..60_000 {
        index.put_token(&entry(n, ""));
        if n == 5_000 {
            assert_eq!(index.bytes(), reserved, "it was enough");
            index.reserve(5_000);
            assert_eq!(index.bytes(), reserved, "less than there is");
        }
    }
    (0..60_000).for_each(|n| with(&index, n, |found| assert!(found.is_some(), "{n}")));
}

#[test]
fn what_ends_leaves_the_living_and_what_lives_again_comes_back() {
    let index = Index::default();
    for n in 0..5_000 {
        index.put_token(&entry(n, "first"));
    }
    for n in (0..5_000).step_by(2) {
        index.put_token(&Entry { state: State::Revoked(Time(n as i64 * 1_000)), ..entry(n, "a longer second name") });
    }
    assert_eq!((index.len(), index.ended.len()), (2_500, 2_500));
    with(&index, 10, |found| assert!(found.is_none()));
    let ended = index.ended.find(&digest(10), Time(0)).unwrap();
    assert_eq!(
        (ended.token, ended.version, ended.why, ended.at),
        (Uuid::from_u128(10), 10, Why::Revoked, Time(10_000))
    );
    with(&index, 11, |f| assert_eq!(f.map(|f| f.name()), Some("first")));
    index.put_token(&entry(10, "again"));
    with(&index, 10, |f| assert_eq!(f.map(|f| f.name()), Some("again")));
    assert_eq!(index.ended.find(&digest(10), Time(0)), None);
    (0..100_000).for_each(|n| index.put_token(&entry(n, "many more")));
    (0..100_000).for_each(|n| index.end_token(&entry(n, ""), Why::Expired, Time(0)));
    assert!(index.is_empty());
    let shards: usize = index.shards.iter().map(|shard| read(shard).bytes()).sum();
    assert!(shards < 3_000_000, "{shards} bytes for nothing");
}

#[test]
fn what_is_over_is_moved_by_time_and_the_rest_is_found_as_before() {
    let index = Index::default();
    let mut directory = Directory::default();
    directory.put_organization(Uuid::nil(), "Acme");
    index.set_directory(directory.clone());
    // One of three ends at its number.
    (0..9_000).for_each(|n| index.put_token(&entry(n, &format!("token-{n}"))));
    assert!(index.sweep(Time(-1), false).is_empty());
    assert_eq!(index.sweep(Time(3_000), false).len(), 500, "those that were replaced live on with another secret");
    assert_eq!((index.len(), index.ended.len()), (9_000 - 1_001, 1_001));
    for n in 0..9_000u64 {
        let over = n.is_multiple_of(3) && n <= 3_000;
        with(&index, n, |found| assert_eq!(found.map(|it| it.name() == format!("token-{n}")), (!over).then_some(true)));
        let why = index.ended.find(&digest(n), Time(0)).map(|ended| ended.why);
        let because = if n.is_multiple_of(2) { Why::Replaced } else { Why::Expired };
        assert_eq!(why, over.then_some(because), "{n}");
    }
    directory.put_cut(Uuid::nil(), crate::token::Cut { through: Uuid::from_u128(8_000), at: Time(7_000) });
    index.set_directory(directory);
    assert!(index.sweep(Time(3_000), false).is_empty(), "nobody said that there is something to look for");
    index.sweep(Time(3_000), true);
    assert_eq!(index.len(), 999);
    let ended = index.ended.find(&digest(8_000), Time(0)).unwrap();
    assert_eq!((ended.why, ended.at), (Why::Revoked, Time(7_000)));
}

#[test]
fn what_is_loaded_anew_takes_the_place_of_all_but_the_ends() {
    let index = Index::default();
    for n in 0..1_000 {
        let state = if n % 10 == 0 { State::Revoked(Time(n as i64 * 1_000)) } else { State::Active };
        index.put_token(&Entry { state, ..entry(n, &format!("old-{n}")) });
    }
    index.end_token(&entry(11, "over"), Why::Expired, Time(0));
    // A copy from before: without the last hundred, and without the ends.
    let fresh = Index::default();
    for n in 0..900 {
        fresh.put_token(&entry(n, &format!("new-{n}")));
    }
    fresh.end_token(&entry(13, "ended there"), Why::Revoked, Time(0));
    index.replace(fresh);
    assert_eq!(index.len(), 900 - 90 - 1);
    with(&index, 7, |f| assert_eq!(f.map(|f| (f.state, f.name())), Some((State::Active, "new-7"))));
    with(&index, 11, |f| assert_eq!(f.map(|f| f.name()), Some("new-11"), "it may have a later end"));
    let why = |n| index.ended.find(&digest(n), Time(0)).map(|ended| ended.why);
    for n in [10, 13, 950] {
        with(&index, n, |found| assert!(found.is_none(), "{n}"));
        assert_eq!(why(n), Some(Why::Revoked), "{n}");
    }
    with(&index, 951, |found| assert!(found.is_none(), "a ghost"));
}

#[test]
fn tokens_of_a_removed_organization_are_forgotten() {
    let index = Index::default();
    let mut directory = Directory::default();
    directory.put_organization(Uuid::nil(), "Acme");
    index.set_directory(directory.clone());
    index.put_token(&entry(1, "one"));
    directory.remove_organization(Uuid::nil());
    index.set_directory(directory);
    index.prune(Time(0));
    assert!(index.is_empty());
}
