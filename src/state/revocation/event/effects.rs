//! What an event does, by its type: CAEP 1.0 section 3, RISC 1.0 section 2, SSF 1.0 section 8.1.
//!
//! The standards leave it to the receiver (SSF section 4.1.5). Here: whatever says that tokens should no longer be good
//! revokes those of the subject that were issued until then; they can be had again where the issuer still gives them.
//! What says nothing of the kind, and every type that is not known, is acknowledged and ignored.

use super::set::{SKEW, Set};
use super::subject::Subject;
use super::{Event, Fact, Refusal, Selector};
use crate::config::Transmitter;
use crate::pop::Timestamp;
use crate::pop::jose::{Json, Object};
use crate::pop::jwk::Thumbprint;
use crate::pop::mtls::CertificateThumbprint;

/// What a SET comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::state::revocation) enum Message {
    /// It revokes; or nothing, and is ignored.
    Event(Event),
    /// The transmitter shows that the stream works (SSF section 8.1.4).
    Verification,
    /// The transmitter says whether events keep coming (SSF section 8.1.5).
    Stream(Stream),
}

/// `stream-updated`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::state::revocation) struct Stream {
    /// Who says so.
    pub(in crate::state::revocation) transmitter: String,
    /// Which stream.
    pub(in crate::state::revocation) id: String,
    /// Since when.
    pub(in crate::state::revocation) at: Timestamp,
    /// Whether it is paused or disabled.
    pub(in crate::state::revocation) is_silent: bool,
}

/// Types of events that are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The subject's tokens are not to be used any more.
    Ends,
    TokenClaimsChange,
    CredentialChange,
    AssuranceLevelChange,
    Verification,
    StreamUpdated,
    /// Of no consequence for tokens, or not known (RV-018).
    Nothing,
}

/// What the transmitter's event does (SSF-16, CAEP-01, RISC-01). `asked`: the state of the verification that we asked
/// for, if we did (SSF-12, SSF-13).
pub(in crate::state::revocation) fn read(
    set: &Set,
    transmitter: &Transmitter,
    asked: Option<&str>,
) -> Result<Message, Refusal> {
    let payload = &set.payload;
    let revokes = match kind(&set.kind) {
        Kind::Nothing => Vec::new(),
        Kind::Verification => return verification(set, asked),
        Kind::StreamUpdated => return stream_updated(set),
        Kind::Ends => revoked(set, transmitter)?,
        Kind::TokenClaimsChange => {
            let claims = payload.get("claims").and_then(Json::as_object).ok_or(Refusal::Payload)?;
            claims.iter().next().ok_or(Refusal::Payload)?;
            revoked(set, transmitter)?
        }
        Kind::CredentialChange => credential_change(set, transmitter)?,
        Kind::AssuranceLevelChange => {
            text(payload, "namespace")?.ok_or(Refusal::Payload)?;
            text(payload, "current_level")?.ok_or(Refusal::Payload)?;
            match text(payload, "change_direction")? {
                Some("increase") => Vec::new(),
                Some(_) | None => revoked(set, transmitter)?,
            }
        }
    };
    let at = if revokes.is_empty() { set.issued_at } else { happened(set)? };
    if revokes.iter().any(is_broad) {
        let transmitter = &set.issuer; // RV-029: an alarm, for it concerns everybody
        tracing::warn!(transmitter, jti = set.id, "an event revokes the tokens of a whole tenant or issuer");
    }
    Ok(Message::Event(Event { id: set.id.clone(), at, until: None, told: Some(set.issued_at), revokes }))
}

/// Whether it names nobody in particular.
fn is_broad(selector: &Selector) -> bool {
    selector.facts.iter().all(|(fact, _)| *fact == Fact::Tenant)
}

fn kind(uri: &str) -> Kind {
    if let Some(name) = uri.strip_prefix(CAEP) {
        return match name {
            "session-revoked" => Kind::Ends,
            "token-claims-change" => Kind::TokenClaimsChange,
            "credential-change" => Kind::CredentialChange,
            "assurance-level-change" => Kind::AssuranceLevelChange,
            // device-compliance-change, risk-level-change, session-established, session-presented
            _ => Kind::Nothing,
        };
    }
    if let Some(name) = uri.strip_prefix(RISC) {
        return match name {
            "account-disabled" | "account-purged" | "credential-compromise" | "sessions-revoked" => {
                Kind::Ends
            }
            // account-enabled too: tokens of before stay revoked, new ones never were (RV-016).
            _ => Kind::Nothing,
        };
    }
    match uri.strip_prefix(SSF) {
        Some("verification") => Kind::Verification,
        Some("stream-updated") => Kind::StreamUpdated,
        Some(_) | None => Kind::Nothing,
    }
}

/// Whether events of this type count until the next one comes, however old they are.
pub(super) fn is_lasting(uri: &str) -> bool {
    kind(uri) == Kind::StreamUpdated
}

/// The subject's tokens, of an event whose common members are sound. `sub_id` counts; an event that also names a
/// subject of its own must mean the same (SSF-01; RV-033).
fn revoked(set: &Set, transmitter: &Transmitter) -> Result<Vec<Selector>, Refusal> {
    subject(set)?.selectors(transmitter)
}

fn subject(set: &Set) -> Result<Subject, Refusal> {
    check_common(&set.payload)?;
    let subject = Subject::parse(&set.subject)?;
    match set.payload.get("subject") {
        None => Ok(subject),
        Some(again) => {
            let again = Subject::parse(again.as_object().ok_or(Refusal::Subject)?)?;
            if again == subject { Ok(subject) } else { Err(Refusal::SubjectContradicted) }
        }
    }
}

/// A credential that is new harms nobody; one that changed or went may have been in the wrong hands (CAEP-06). `jkt`
/// and `x5t#S256` are ours beside those of CAEP: they name the key whose tokens are meant, whoever holds them
/// (RV-041).
fn credential_change(set: &Set, transmitter: &Transmitter) -> Result<Vec<Selector>, Refusal> {
    let payload = &set.payload;
    let change = text(payload, "change_type")?.ok_or(Refusal::Payload)?;
    let credential = text(payload, "credential_type")?.ok_or(Refusal::Payload)?;
    if !["create", "revoke", "update", "delete"].contains(&change) {
        return Err(Refusal::ChangeType);
    }
    if !CREDENTIALS.contains(&credential) && !transmitter.credential_types.iter().any(|t| t == credential) {
        return Err(Refusal::CredentialType);
    }
    let keys = keys(payload)?;
    if change == "create" {
        return Ok(Vec::new());
    }
    if keys.is_empty() {
        return revoked(set, transmitter);
    }
    match revoked(set, transmitter) {
        // The key says enough, as long as the subject is not somebody else's.
        Ok(_) | Err(Refusal::SubjectUnsupported | Refusal::SubjectUnmatchable | Refusal::SubjectTooBroad) => {
        }
        Err(refusal) => return Err(refusal),
    }
    let of = |issuer: &String| {
        let issuer = issuer.clone();
        keys.iter().map(move |fact| Selector { issuer: issuer.clone(), facts: vec![fact.clone()] })
    };
    Ok(transmitter.speaks_for.iter().flat_map(of).collect())
}

/// The keys that an event names by thumbprint, in their one form.
fn keys(payload: &Object<'_>) -> Result<Vec<(Fact, String)>, Refusal> {
    let mut keys = Vec::new();
    if let Some(jkt) = text(payload, "jkt")? {
        let jkt = Thumbprint::parse(jkt).ok_or(Refusal::Payload)?;
        keys.push((Fact::Key, jkt.as_str().to_owned()));
    }
    if let Some(x5t) = text(payload, "x5t#S256")? {
        let x5t = CertificateThumbprint::parse(x5t).ok_or(Refusal::Payload)?;
        keys.push((Fact::Certificate, x5t.as_str().to_owned()));
    }
    Ok(keys)
}

/// The state is compared only with one that we asked for: a transmitter also sends verifications of its own accord
/// (RV-035).
fn verification(set: &Set, asked: Option<&str>) -> Result<Message, Refusal> {
    Subject::parse(&set.subject)?.stream().ok_or(Refusal::Subject)?;
    let state = text(&set.payload, "state")?;
    match (asked, state) {
        (Some(asked), Some(state)) if asked != state => Err(Refusal::State),
        (Some(_) | None, _) => Ok(Message::Verification),
    }
}

/// SSF-14
fn stream_updated(set: &Set) -> Result<Message, Refusal> {
    let subject = Subject::parse(&set.subject)?;
    let id = subject.stream().ok_or(Refusal::Subject)?.to_owned();
    let is_silent = match text(&set.payload, "status")? {
        Some("enabled") => false,
        Some("paused" | "disabled") => true,
        Some(_) | None => return Err(Refusal::Payload),
    };
    let at = happened(set)?;
    Ok(Message::Stream(Stream { transmitter: set.issuer.clone(), id, at, is_silent }))
}

/// When it happened (RV-005; CAEP-03): `event_timestamp`, else `toe`, else `iat`. A number of seconds; milliseconds are
/// beyond the year 9999 (CAEP-02). Nobody tells of what has not happened yet: such a time would revoke tokens that are
/// issued in good order.
fn happened(set: &Set) -> Result<Timestamp, Refusal> {
    let at = match set.payload.get("event_timestamp") {
        Some(at) => at.as_numeric_date().ok_or(Refusal::EventTime)?,
        None => set.happened.unwrap_or(set.issued_at),
    };
    if at > set.issued_at.plus(SKEW) { Err(Refusal::EventTime) } else { Ok(at) }
}

/// The members that CAEP events have in common (section 2; CAEP-02). RISC has none that contradict them.
fn check_common(payload: &Object<'_>) -> Result<(), Refusal> {
    let initiators = ["admin", "user", "policy", "system"];
    if text(payload, "initiating_entity")?.is_some_and(|who| !initiators.contains(&who)) {
        return Err(Refusal::Payload);
    }
    for name in ["reason_admin", "reason_user"] {
        let Some(reason) = payload.get(name) else { continue };
        let by_language = reason.as_object().ok_or(Refusal::Payload)?;
        if by_language.iter().any(|(_, text)| text.as_str().is_none()) {
            return Err(Refusal::Payload);
        }
    }
    Ok(())
}

/// A text, if it is there.
fn text<'o>(payload: &'o Object<'_>, name: &str) -> Result<Option<&'o str>, Refusal> {
    let said = |value: &'o Json<'_>| value.as_str().filter(|t| !t.is_empty()).ok_or(Refusal::Payload);
    payload.get(name).map(said).transpose()
}

const CAEP: &str = "https://schemas.openid.net/secevent/caep/event-type/";
const RISC: &str = "https://schemas.openid.net/secevent/risc/event-type/";
const SSF: &str = "https://schemas.openid.net/secevent/ssf/event-type/";
/// The credential types of CAEP section 3.3.1.
const CREDENTIALS: &[&str] = &[
    "password",
    "pin",
    "x509",
    "fido2-platform",
    "fido2-roaming",
    "fido-u2f",
    "verifiable-credential",
    "phone-voice",
    "phone-sms",
    "app",
];

#[cfg(test)]
mod tests;
