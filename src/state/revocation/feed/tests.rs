//! The intake, event by event.

use super::*;
use crate::state::revocation::event;
use crate::state::revocation::event::Fact;
use crate::state::revocation::recent::Outcome;
use crate::state::revocation::tests::{ISSUER, config, event, now};
use crate::telemetry::Telemetry;
use std::path::PathBuf;

fn intake() -> Intake {
    Intake::new(
        &config(config::Feed::File { path: PathBuf::new() }),
        [(ISSUER.to_owned(), Duration::from_secs(3600))].into(),
        Telemetry::off().metrics.revocations.clone(),
    )
}

fn take(intake: &Intake, text: &str) -> Taken {
    intake.take(&Delivery { bytes: text.as_bytes(), place: &"here", published: None }, now())
}

#[test]
fn an_event_that_is_long_over_takes_no_place() {
    let intake = intake();
    let mut event = event(Fact::Subject, "alice");
    event.at = Timestamp::from_secs(now().as_secs() - 4000);
    assert_eq!(take(&intake, &event.to_json()), Taken::Applied);
    assert_eq!((intake.index.len(), intake.applied(), intake.ignored()), (0, 0, 1));
    assert_eq!(intake.recent.find(&event.id).unwrap().outcome, Outcome::Ignored("over"));
}

/// RV-020
#[test]
fn an_event_that_makes_us_panic_is_rejected_and_stops_nothing() {
    let intake = intake();
    intake.heard();
    assert_eq!(take(&intake, &event(Fact::TokenId, "panic").to_json()), Taken::Refused(Refusal::Internal));
    assert_eq!(take(&intake, &event(Fact::TokenId, "good").to_json()), Taken::Applied);
    let seen = intake.recent.find("event-panic").unwrap();
    assert_eq!((seen.outcome, seen.place.as_deref()), (Outcome::Rejected(Refusal::Internal), Some("here")));
    assert_eq!((intake.refused(Refusal::Internal), intake.index.len()), (1, 1));
}

/// RV-013, RV-022
#[test]
fn an_event_that_comes_again_and_many_about_one_subject_are_one_entry() {
    let intake = intake();
    for n in 0..1000 {
        let mut event = event(Fact::Subject, "alice");
        event.id = (n % 10).to_string();
        assert_eq!(take(&intake, &event.to_json()), Taken::Applied);
    }
    assert_eq!((intake.index.len(), intake.applied()), (1, 1000));
}

#[test]
fn a_rejected_event_is_known_by_its_name_in_either_form() {
    let intake = intake();
    let mut stranger = event(Fact::TokenId, "t");
    stranger.issuer = "https://stranger.example".to_owned();
    assert_eq!(take(&intake, &stranger.to_json()), Taken::Refused(Refusal::IssuerUnknown));
    assert_eq!(intake.recent.find("event-t").unwrap().place, None, "no news before it has caught up");
    let payload = crate::pop::jose::base64url(r#"{"jti":"set-1"}"#);
    assert_eq!(event::name(format!("e30.{payload}.c2ln").as_bytes()).as_deref(), Some("set-1"));
    assert_eq!(event::name(b"neither"), None);
}

/// A key that was stolen yesterday holds tokens of today.
#[test]
fn what_is_revoked_for_ever_is_remembered_for_tokens_that_are_issued_later() {
    let intake = intake();
    for (fact, kept) in
        [(Fact::Key, true), (Fact::Certificate, true), (Fact::TokenId, true), (Fact::Subject, false)]
    {
        let entries = intake.index.len();
        let mut event = event(fact, "a value");
        event.at = Timestamp::from_secs(now().as_secs() - 86_400);
        let text = event.to_json();
        let delivery = Delivery { bytes: text.as_bytes(), place: &"here", published: Some(now()) };
        assert_eq!(intake.take(&delivery, now()), Taken::Applied);
        assert_eq!(intake.index.len() > entries, kept, "{fact:?}");
    }
}
