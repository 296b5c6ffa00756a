//! Whom an event is about: subject identifiers (RFC 9493 section 3, SSF section 3), and the tokens they name.
//!
//! Read strictly: exactly the members of the format. Email addresses are compared in lower case as a whole, here and in
//! tokens (RFC 9493 section 3.2.2.1 wants that agreed upon); everything else character by character. A complex subject
//! names one principal by several members at once: those that tokens don't have are no condition, for undefined
//! matches anything (SSF section 8.1.3.1).

use super::{Fact, Refusal, Selector};
use crate::config::Transmitter;
use crate::pop::jose::{Json, Object};

/// A subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// Named by one identifier.
    Simple(Identifier),
    /// Named by several together, each with its member's name, in the order of these.
    Complex(Vec<(String, Identifier)>),
}

/// An identifier of one of the formats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Identifier {
    IssSub {
        iss: String,
        sub: String,
    },
    Opaque(String),
    /// In lower case.
    Email(String),
    Phone(String),
    JwtId {
        iss: String,
        jti: String,
    },
    Aliases(Vec<Identifier>),
    /// Of another format: what it says, to tell it from others.
    Other(String),
}

/// What a member of a complex subject is in a token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    User,
    Session,
    Application,
    Tenant,
    Device,
}

/// One way in which a token may be of the subject.
#[derive(Clone, Default)]
struct Match {
    /// Of this issuer; of any that the transmitter speaks for, if there is none.
    issuer: Option<String>,
    facts: Vec<(Fact, String)>,
}

/// An address as it is compared (SUBID-04): in lower case, nothing else changed. Two mailboxes that differ in case only
/// are rare; a revocation that misses its token for that is worse.
pub(in crate::state::revocation) fn canonical_email(address: &str) -> String {
    address.to_lowercase()
}

impl Subject {
    /// Reads a subject (SUBID-01, SUBID-02, SSF-08, SSF-09, CAEP-05, RISC-02).
    pub(super) fn parse(subject: &Object<'_>) -> Result<Subject, Refusal> {
        if format(subject)? != "complex" {
            return identifier(subject).map(Subject::Simple);
        }
        let mut members = Vec::new();
        for (name, value) in subject.iter().filter(|(name, _)| *name != "format") {
            members.push((name.to_owned(), identifier(value.as_object().ok_or(Refusal::Subject)?)?));
        }
        members.sort_by(|(a, _), (b, _)| a.cmp(b));
        if members.is_empty() { Err(Refusal::Subject) } else { Ok(Subject::Complex(members)) }
    }

    /// The tokens of the subject, as far as the transmitter speaks for their issuers (RV-010). All of them or none:
    /// what can't be matched is a refusal.
    pub(super) fn selectors(&self, transmitter: &Transmitter) -> Result<Vec<Selector>, Refusal> {
        let matches = match self {
            Subject::Simple(identifier) => matches(Role::User, identifier, transmitter)?,
            Subject::Complex(members) => combine(members, transmitter)?,
        };
        let mut selectors = Vec::new();
        for one in matches {
            let issuers = match &one.issuer {
                Some(issuer) => std::slice::from_ref(issuer),
                None => &transmitter.speaks_for,
            };
            let of = |issuer: &String| Selector { issuer: issuer.clone(), facts: one.facts.clone() };
            selectors.extend(issuers.iter().map(of));
        }
        Ok(selectors)
    }

    /// The id of a subject that is a stream (SSF section 8.1.4).
    pub(super) fn stream(&self) -> Option<&str> {
        match self {
            Subject::Simple(Identifier::Opaque(id)) => Some(id),
            Subject::Simple(_) | Subject::Complex(_) => None,
        }
    }
}

/// What holds of a token when all members do (SSF-11). A critical member must be processed (SSF-10, RV-031); what is
/// left must name somebody, or `wildcard` says that it means everybody (RV-029).
fn combine(members: &[(String, Identifier)], transmitter: &Transmitter) -> Result<Vec<Match>, Refusal> {
    let mut found = vec![Match::default()];
    for (name, identifier) in members {
        let is_critical = transmitter.critical_subject_members.contains(name);
        let more = match role(name, transmitter) {
            Some(role) => matches(role, identifier, transmitter),
            None if is_critical => Err(Refusal::CriticalMember),
            None => continue,
        };
        let more = more.map_err(|refusal| {
            let unprocessed = is_critical && refusal == Refusal::SubjectUnsupported;
            if unprocessed { Refusal::CriticalMember } else { refusal }
        })?;
        found = found.iter().flat_map(|one| more.iter().filter_map(|other| both(one, other))).collect();
        if found.len() > MAX_ALIASES {
            return Err(Refusal::Subject);
        }
    }
    if found.is_empty() {
        return Err(Refusal::SubjectUnmatchable);
    }
    let names_nobody = found.iter().any(|one| one.facts.is_empty());
    let names_a_tenant = found.iter().any(|one| one.facts.iter().all(|(fact, _)| *fact == Fact::Tenant));
    match (names_nobody, names_a_tenant) {
        (true, _) if !transmitter.wildcard => Err(Refusal::SubjectUnmatchable),
        (false, true) if !transmitter.wildcard => Err(Refusal::SubjectTooBroad),
        (true | false, true | false) => Ok(found),
    }
}

/// What a member is in tokens; `None` if they have nothing of the kind.
fn role(member: &str, transmitter: &Transmitter) -> Option<Role> {
    match member {
        "user" => Some(Role::User),
        "session" => Some(Role::Session),
        "application" => Some(Role::Application),
        "tenant" => transmitter.claims.tenant.is_some().then_some(Role::Tenant),
        "device" => transmitter.claims.device.is_some().then_some(Role::Device),
        _ => None,
    }
}

/// Both at once; `None` if no token can be both.
fn both(one: &Match, other: &Match) -> Option<Match> {
    let issuer = match (&one.issuer, &other.issuer) {
        (Some(a), Some(b)) if a != b => return None,
        (a, b) => a.clone().or_else(|| b.clone()),
    };
    let mut facts = one.facts.clone();
    for (fact, value) in &other.facts {
        match facts.iter().find(|(known, _)| known == fact) {
            Some((_, known)) if known != value => return None,
            Some(_) => {}
            None => facts.push((*fact, value.clone())),
        }
    }
    facts.sort_by_key(|(fact, _)| *fact);
    Some(Match { issuer, facts })
}

/// What a token has to have to be this one's; several ways for aliases, of which those count that are supported.
fn matches(role: Role, identifier: &Identifier, transmitter: &Transmitter) -> Result<Vec<Match>, Refusal> {
    let one = |issuer: Option<&String>, fact, value: &String| {
        if issuer.is_some_and(|issuer| !transmitter.speaks_for.contains(issuer)) {
            return Err(Refusal::SubjectForeign);
        }
        Ok(vec![Match { issuer: issuer.cloned(), facts: vec![(fact, value.clone())] }])
    };
    match (role, identifier) {
        (_, Identifier::Aliases(all)) => {
            let found: Vec<Result<Vec<Match>, Refusal>> =
                all.iter().map(|alias| matches(role, alias, transmitter)).collect();
            let first = found.iter().find_map(|one| one.as_ref().err().copied());
            let some: Vec<Match> = found.into_iter().flatten().flatten().collect();
            if some.is_empty() { Err(first.unwrap_or(Refusal::Subject)) } else { Ok(some) }
        }
        (Role::User, Identifier::IssSub { iss, sub }) => one(Some(iss), Fact::Subject, sub),
        (Role::User, Identifier::JwtId { iss, jti }) => one(Some(iss), Fact::TokenId, jti),
        (Role::User, Identifier::Email(address)) => one(None, Fact::Email, address),
        (Role::User, Identifier::Phone(number)) => one(None, Fact::Phone, number),
        (Role::User, Identifier::Opaque(id)) => one(None, Fact::Subject, id),
        (Role::Session, Identifier::Opaque(id)) => one(None, Fact::Session, id),
        (Role::Application, Identifier::Opaque(id)) => one(None, Fact::Client, id),
        (Role::Tenant, Identifier::Opaque(id)) => one(None, Fact::Tenant, id),
        (Role::Device, Identifier::Opaque(id)) => one(None, Fact::Device, id),
        (
            Role::Session | Role::Application | Role::Tenant | Role::Device,
            Identifier::IssSub { .. }
            | Identifier::JwtId { .. }
            | Identifier::Email(_)
            | Identifier::Phone(_),
        )
        | (_, Identifier::Other(_)) => Err(Refusal::SubjectUnsupported),
    }
}

fn format<'o>(object: &'o Object<'_>) -> Result<&'o str, Refusal> {
    if object.has("subject_type") {
        return Err(Refusal::SubjectObsolete);
    }
    object.get("format").and_then(Json::as_str).ok_or(Refusal::Subject)
}

/// An identifier with exactly the members of its format, each a text that says something (SUBID-02).
fn identifier(object: &Object<'_>) -> Result<Identifier, Refusal> {
    let format = format(object)?;
    let count = object.iter().count();
    let text = |name: &str| {
        let value = object.get(name).and_then(Json::as_str).filter(|text| !text.is_empty());
        value.map(str::to_owned).ok_or(Refusal::Subject)
    };
    let alone = |name: &str| if count == 2 { text(name) } else { Err(Refusal::Subject) };
    let pair = |a: &str, b: &str| if count == 3 { Ok((text(a)?, text(b)?)) } else { Err(Refusal::Subject) };
    let other = || Ok(Identifier::Other(Json::Object(object.clone()).to_string()));
    match format {
        "iss_sub" => pair("iss", "sub").map(|(iss, sub)| Identifier::IssSub { iss, sub }),
        "jwt_id" => pair("iss", "jti").map(|(iss, jti)| Identifier::JwtId { iss, jti }),
        "opaque" => alone("id").map(Identifier::Opaque),
        "email" => alone("email").map(|address| Identifier::Email(canonical_email(&address))),
        "phone_number" => alone("phone_number").map(Identifier::Phone),
        "aliases" if count == 2 => aliases(object),
        "aliases" => Err(Refusal::Subject),
        "account" | "uri" => alone("uri").and_then(|_| other()),
        "did" => alone("url").and_then(|_| other()),
        "saml_assertion_id" => pair("issuer", "assertion_id").and_then(|_| other()),
        _ => other(),
    }
}

/// Several names of one and the same, none of them a list again (SUBID-03).
fn aliases(object: &Object<'_>) -> Result<Identifier, Refusal> {
    let list = object.get("identifiers").and_then(Json::as_array).ok_or(Refusal::Subject)?;
    let read = |one: &Json<'_>| {
        let one = identifier(one.as_object().ok_or(Refusal::Subject)?)?;
        if matches!(one, Identifier::Aliases(_)) { Err(Refusal::Subject) } else { Ok(one) }
    };
    if list.is_empty() || list.len() > MAX_ALIASES {
        return Err(Refusal::Subject);
    }
    list.iter().map(read).collect::<Result<_, _>>().map(Identifier::Aliases)
}

/// Names that one principal may have.
const MAX_ALIASES: usize = 64;

#[cfg(test)]
mod tests;
