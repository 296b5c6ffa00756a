//! One row of an attack table: the id of the catalogue, what is sent, and what must come of it.

use super::answers::Code;
use super::stage::Stage;
use crate::support::echo::Received;
use crate::support::oauth_client::HOST;
use crate::support::proof::Jwt;
use std::fmt::Debug;

/// One attack, or one thing that must go through.
pub struct Case {
    /// The catalogue's id, or words of our own for what it does not list.
    pub id: String,
    /// What must come of it.
    pub expected: Expected,
    /// What is sent.
    pub make: Box<dyn Fn(&Stage) -> Call + Send + Sync>,
    /// What the service must see.
    pub sees: Box<dyn Fn(&Received) -> bool + Send + Sync>,
}

/// What comes of a request.
#[derive(Clone, Copy, Debug)]
pub enum Expected {
    /// The service answers it.
    Granted,
    /// Clinch decides against it, for this reason.
    Refused(Code, &'static str),
    /// It is no HTTP to decide on: this status and the end of the connection.
    Broken(u16),
}

/// A request, byte by byte.
#[derive(Clone)]
pub struct Call {
    pub method: String,
    pub target: Vec<u8>,
    pub hosts: Vec<String>,
    pub fields: Vec<(String, Vec<u8>)>,
    pub version: &'static str,
    /// What comes behind the header section.
    pub body: Vec<u8>,
    pub who: Who,
}

/// The client certificate of the connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Who {
    Nobody,
    Client,
    Thief,
}

impl Call {
    /// A GET of the public host without credentials.
    pub fn get(target: impl AsRef<[u8]>) -> Call {
        Call {
            method: "GET".to_owned(),
            target: target.as_ref().to_vec(),
            hosts: vec![HOST.to_owned()],
            fields: vec![],
            version: "HTTP/1.1",
            body: vec![],
            who: Who::Nobody,
        }
    }

    /// With another method.
    pub fn method(mut self, method: &str) -> Call {
        self.method = method.to_owned();
        self
    }

    /// With these Host lines.
    pub fn hosts(mut self, hosts: &[&str]) -> Call {
        self.hosts = hosts.iter().map(ToString::to_string).collect();
        self
    }

    /// With one more field line.
    pub fn field(mut self, name: &str, value: impl AsRef<[u8]>) -> Call {
        self.fields.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// Without the lines of this name.
    pub fn without(mut self, name: &str) -> Call {
        self.fields.retain(|(n, _)| n != name);
        self
    }

    /// With another target.
    pub fn target(mut self, target: impl AsRef<[u8]>) -> Call {
        self.target = target.as_ref().to_vec();
        self
    }

    /// With these bytes behind the header section.
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Call {
        self.body = body.as_ref().to_vec();
        self
    }

    /// In another version.
    pub fn version(mut self, version: &'static str) -> Call {
        self.version = version;
        self
    }

    /// With a client certificate.
    pub fn by(mut self, who: Who) -> Call {
        self.who = who;
        self
    }

    /// With a token and its proof.
    pub fn dpop(self, token: &str, proof: &str) -> Call {
        self.field("Authorization", format!("DPoP {token}")).field("DPoP", proof)
    }

    /// With a token alone.
    pub fn bearer(self, token: &str) -> Call {
        self.field("Authorization", format!("Bearer {token}"))
    }

    /// As it goes over the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes =
            [self.method.as_bytes(), b" ", &self.target, b" ", self.version.as_bytes(), b"\r\n"].concat();
        for host in &self.hosts {
            bytes.extend(format!("Host: {host}\r\n").bytes());
        }
        for (name, value) in &self.fields {
            bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        bytes.extend(b"\r\n");
        bytes.extend(&self.body);
        bytes
    }

    /// The scheme, if the one line of credentials has one that is served.
    pub fn scheme(&self) -> Option<&'static str> {
        let named = |name: &&(String, Vec<u8>)| name.0.eq_ignore_ascii_case("authorization");
        let line = String::from_utf8_lossy(&self.fields.iter().find(named)?.1).to_ascii_lowercase();
        ["DPoP", "Bearer"].into_iter().find(|s| line.starts_with(&format!("{} ", s.to_ascii_lowercase())))
    }
}

/// Any request, refused.
pub fn refused(
    id: &str,
    code: Code,
    reason: &'static str,
    make: impl Fn(&Stage) -> Call + Send + Sync + 'static,
) -> Case {
    case(id, Expected::Refused(code, reason), make)
}

/// Any request, granted; the service must see this.
pub fn granted(
    id: &str,
    sees: impl Fn(&Received) -> bool + Send + Sync + 'static,
    make: impl Fn(&Stage) -> Call + Send + Sync + 'static,
) -> Case {
    Case { sees: Box::new(sees), ..case(id, Expected::Granted, make) }
}

/// Any request that is not HTTP enough to be decided on.
pub fn broken(id: &str, status: u16, make: impl Fn(&Stage) -> Call + Send + Sync + 'static) -> Case {
    case(id, Expected::Broken(status), make)
}

/// A good request but for its proof: A1.
pub fn proof(
    id: &str,
    reason: &'static str,
    forge: impl Fn(&Stage, Jwt) -> String + Send + Sync + 'static,
) -> Case {
    refused(id, Code::A1, reason, with_proof(forge))
}

/// The same, for a proof that must be accepted.
pub fn good_proof(id: &str, forge: impl Fn(&Stage, Jwt) -> String + Send + Sync + 'static) -> Case {
    granted(id, |_| true, with_proof(forge))
}

/// A good request with a good proof, but for its token: A2.
pub fn token(
    id: &str,
    reason: &'static str,
    forge: impl Fn(&Stage, Jwt) -> String + Send + Sync + 'static,
) -> Case {
    refused(id, Code::A2, reason, with_token(forge))
}

/// The same, for a token that must be accepted.
pub fn good_token(id: &str, forge: impl Fn(&Stage, Jwt) -> String + Send + Sync + 'static) -> Case {
    granted(id, |_| true, with_token(forge))
}

/// A row that has several inputs: a case for each.
pub fn each<I: Clone + Debug + Send + Sync + 'static>(
    inputs: impl IntoIterator<Item = I>,
    row: impl Fn(I) -> Case,
) -> Vec<Case> {
    let one = |input: I| {
        let told = format!("{input:?}");
        let case = row(input);
        let told: String = told.chars().take(80).collect();
        Case { id: format!("{} [{told}]", case.id), ..case }
    };
    inputs.into_iter().map(one).collect()
}

fn case(id: &str, expected: Expected, make: impl Fn(&Stage) -> Call + Send + Sync + 'static) -> Case {
    Case { id: id.to_owned(), expected, make: Box::new(make), sees: Box::new(|_| true) }
}

fn with_proof(
    forge: impl Fn(&Stage, Jwt) -> String + Send + Sync + 'static,
) -> impl Fn(&Stage) -> Call + Send + Sync + 'static {
    move |stage| {
        let token = stage.good_token();
        let proof = forge(stage, stage.good_proof(&token));
        Call::get(PATH).dpop(&token, &proof)
    }
}

fn with_token(
    forge: impl Fn(&Stage, Jwt) -> String + Send + Sync + 'static,
) -> impl Fn(&Stage) -> Call + Send + Sync + 'static {
    move |stage| {
        let token = forge(stage, stage.issuer.token_for(&stage.key));
        let proof = stage.good_proof(&token).sign(&stage.key);
        Call::get(PATH).dpop(&token, &proof)
    }
}

/// The path of the catalogue's baseline.
pub const PATH: &str = "/orders/7";
