//! What the index remembers, and for whom.

mod model;
mod threads;

use super::*;
use std::time::Duration;

const ISSUER: &str = "https://as.example.com";
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

struct Token<'a> {
    issuer: &'a str,
    issued_at: Timestamp,
    facts: &'a [(Fact, &'a str)],
}

impl Bearer for Token<'_> {
    fn issuer(&self) -> &str {
        self.issuer
    }
    fn issued_at(&self) -> Timestamp {
        self.issued_at
    }
    fn fact(&self, fact: Fact) -> Option<Cow<'_, str>> {
        self.facts.iter().find(|(name, _)| *name == fact).map(|(_, value)| (*value).into())
    }
}

fn after(seconds: i64) -> Timestamp {
    Timestamp::from_secs(NOW.as_secs() + seconds)
}
fn revoke(index: &Index, facts: &[(Fact, &str)], at: i64, until: i64) -> Result<(), Full> {
    let facts = facts.iter().map(|(fact, value)| (*fact, (*value).to_owned())).collect();
    index.revoke(&Selector { issuer: ISSUER.to_owned(), facts }, after(at), after(until), NOW)
}
fn revoked(index: &Index, facts: &[(Fact, &str)], issued_at: Timestamp) -> bool {
    index.is_revoked(&Token { issuer: ISSUER, issued_at, facts })
}

/// Lets the monotonic clock run.
fn pass(index: &mut Index, seconds: u64) {
    index.epoch =
        index.epoch.checked_sub(Duration::from_secs(seconds)).expect("the clock goes back that far");
}

use Fact::{Session, Subject, TokenId};

#[test]
fn a_subject_is_revoked_up_to_and_including_the_second_of_the_event() {
    let index = Index::new(10);
    revoke(&index, &[(Subject, "alice")], 0, 3600).unwrap();
    let at = |value, at| revoked(&index, &[(TokenId, "t"), (Subject, value)], at);
    assert!(at("alice", after(-1)));
    assert!(at("alice", Timestamp::from_millis(NOW.as_millis() + 999)));
    assert!(!at("alice", after(1)));
    assert!(!at("bob", after(-1)));
    assert!(!revoked(&index, &[(TokenId, "alice"), (Subject, "bob")], NOW));
    let elsewhere = Token { issuer: "https://other", issued_at: NOW, facts: &[(Subject, "alice")] };
    assert!(!index.is_revoked(&elsewhere));
}

#[test]
fn a_token_is_revoked_whenever_it_was_issued() {
    let index = Index::new(10);
    revoke(&index, &[(TokenId, "t")], 0, 3600).unwrap();
    assert!(revoked(&index, &[(TokenId, "t")], after(100)));
}

#[test]
fn all_of_an_issuer_means_all() {
    let index = Index::new(10);
    revoke(&index, &[], 0, 3600).unwrap();
    assert!(revoked(&index, &[(TokenId, "t"), (Subject, "anybody")], NOW));
    assert!(!revoked(&index, &[(TokenId, "t"), (Subject, "anybody")], after(1)));
}

/// SSF-11
#[test]
fn of_several_facts_all_must_hold_and_one_that_the_token_lacks_is_a_wildcard() {
    let index = Index::new(10);
    revoke(&index, &[(Subject, "alice"), (Session, "s")], 0, 3600).unwrap();
    assert!(revoked(&index, &[(Subject, "alice"), (Session, "s")], NOW));
    assert!(!revoked(&index, &[(Subject, "alice"), (Session, "other")], NOW));
    assert!(!revoked(&index, &[(Subject, "bob"), (Session, "s")], NOW));
    assert!(revoked(&index, &[(Subject, "alice")], NOW));
    assert!(revoked(&index, &[(Session, "s")], NOW));
    assert!(!revoked(&index, &[(TokenId, "t")], NOW), "a token of which nothing is known is not meant");
    assert_eq!(index.len(), 3);
}

/// SET-05, RV-013
/// A tenant, a client or a device that somebody is named in does not stand for everybody in it.
#[test]
fn a_token_that_shares_only_what_many_share_is_not_meant() {
    let index = Index::new(10);
    revoke(&index, &[(Fact::Email, "a@example.com"), (Fact::Tenant, "t")], 0, 3600).unwrap();
    assert!(revoked(&index, &[(Fact::Email, "a@example.com"), (Fact::Tenant, "t")], NOW));
    assert!(revoked(&index, &[(Fact::Email, "a@example.com")], NOW));
    assert!(!revoked(&index, &[(Fact::Tenant, "t")], NOW), "nobody else of the tenant");
    revoke(&index, &[(Fact::Tenant, "all")], 0, 3600).unwrap();
    assert!(
        revoked(&index, &[(Subject, "anybody"), (Fact::Tenant, "all")], NOW),
        "a tenant alone is the tenant"
    );
}

#[test]
fn order_and_repetition_do_not_matter() {
    let events = [(0, 50), (20, 40), (10, 90)];
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let index = Index::new(1);
        for n in order.into_iter().chain(order) {
            revoke(&index, &[(Subject, "alice")], events[n].0, events[n].1).unwrap();
        }
        assert!(revoked(&index, &[(Subject, "alice")], after(20)));
        assert!(!revoked(&index, &[(Subject, "alice")], after(21)));
        assert_eq!(index.len(), 1);
    }
}

/// RV-021
#[test]
fn full_takes_no_new_value_but_still_extends_a_known_one() {
    let index = Index::new(2);
    revoke(&index, &[(Subject, "a")], 0, 10).unwrap();
    revoke(&index, &[(Subject, "b")], 0, 10).unwrap();
    assert_eq!(revoke(&index, &[(Subject, "c")], 0, 10), Err(Full));
    assert_eq!(revoke(&index, &[(Subject, "a")], 5, 10), Ok(()));
    assert!(revoked(&index, &[(Subject, "a")], after(5)));
    assert!(revoked(&index, &[(Subject, "b")], NOW));
}

#[test]
fn an_entry_leaves_only_when_both_clocks_are_past_it() {
    let mut index = Index::new(10);
    revoke(&index, &[(Subject, "a")], 0, 100).unwrap();
    index.sweep(after(1_000_000));
    assert_eq!(index.len(), 1, "the wall clock alone was stepped");
    pass(&mut index, 200);
    index.sweep(after(160));
    assert_eq!(index.len(), 1, "the wall clock is not there yet");
    index.sweep(after(162));
    assert_eq!(index.len(), 0);
    assert!(!revoked(&index, &[(Subject, "a")], NOW));
}

#[test]
fn what_is_known_of_a_selector_can_be_asked() {
    let index = Index::new(10);
    revoke(&index, &[(Subject, "a"), (Session, "s")], 5, 100).unwrap();
    let find = |facts: &[(Fact, &str)]| {
        let facts = facts.iter().map(|(fact, value)| (*fact, (*value).to_owned())).collect();
        index.find(&Selector { issuer: ISSUER.to_owned(), facts })
    };
    assert_eq!(find(&[(Subject, "a"), (Session, "s")]), Some((after(5), after(100))));
    assert_eq!(find(&[(Subject, "a")]), None);
    assert_eq!(find(&[(Subject, "a"), (Session, "t")]), None);
}

#[test]
fn a_sweep_leaves_no_shape_without_entries_to_be_looked_up() {
    let mut index = Index::new(10);
    let shapes = |index: &Index| index.shapes.known().len();
    revoke(&index, &[(Subject, "a"), (Session, "s")], 0, 100).unwrap();
    revoke(&index, &[(TokenId, "t")], 0, 1000).unwrap();
    assert_eq!((shapes(&index), index.len()), (4, 4));
    pass(&mut index, 400);
    index.sweep(after(400));
    assert_eq!((shapes(&index), index.len()), (1, 1));
    revoke(&index, &[(Session, "s")], 0, 1000).unwrap();
    assert!(revoked(&index, &[(TokenId, "t")], NOW) && revoked(&index, &[(Session, "s")], NOW));
}

#[test]
fn what_a_full_index_did_not_take_leaves_no_shape_behind() {
    let index = Index::new(2);
    revoke(&index, &[(TokenId, "t")], 0, 100).unwrap();
    assert_eq!(revoke(&index, &[(Subject, "a"), (Session, "s")], 0, 100), Err(Full));
    index.sweep(NOW);
    assert_eq!((index.shapes.known().len(), index.len()), (2, 2));
}

#[test]
fn more_shapes_than_have_numbers_are_refused() {
    let index = Index::new(10_000);
    let all: Vec<(Fact, &str)> = Fact::ALL.iter().map(|fact| (*fact, "v")).collect();
    assert_eq!(revoke(&index, &all[..8], 0, 100), Ok(()));
    assert_eq!(index.len(), 254, "every way to lack facts, but that of having the client alone");
    assert_eq!(revoke(&index, &all[8..9], 0, 100), Ok(()));
    assert_eq!(revoke(&index, &all[9..10], 0, 100), Ok(()));
    assert_eq!(revoke(&index, &all[10..11], 0, 100), Err(Full));
    assert!(revoked(&index, &all[..1], NOW));
}

#[test]
fn a_full_index_gives_up_the_last_entry_that_is_over() {
    let mut index = Index::new(20_000);
    for n in 0..20_000 {
        let until = if n == 77 { 100 } else { 1_000_000 };
        revoke(&index, &[(Subject, &n.to_string())], 0, until).unwrap();
    }
    pass(&mut index, 400);
    let one_more = |index: &Index| revoke(index, &[(Subject, "more")], 0, 1000);
    assert_eq!(one_more(&index), Err(Full));
    index.sweep(after(400));
    assert_eq!(index.len(), 19_999);
    assert_eq!(one_more(&index), Ok(()));
}

/// RV-021
#[test]
fn an_entry_takes_at_most_forty_bytes_whatever_their_number() {
    let index = Index::new(usize::MAX);
    for n in 1..=300_000 {
        revoke(&index, &[(TokenId, &n.to_string())], 0, 3600).unwrap();
        if n >= 100_000 && n % 10_000 == 0 {
            let bytes = index.bytes() as f64 / f64::from(n);
            assert!((30.0..40.0).contains(&bytes), "{bytes} at {n}");
        }
    }
    assert_eq!(index.len(), 300_000);
}

#[test]
fn no_value_and_no_secret_is_shown() {
    let index = Index::new(10);
    revoke(&index, &[(Subject, "alice")], 0, 100).unwrap();
    assert_eq!(format!("{index:?}"), "Index { len: 1, max_entries: 10 }");
}
