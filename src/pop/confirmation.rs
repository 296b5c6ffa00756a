//! The confirmation claim `cnf` (RFC 7800): which key the token is bound to.
//!
//! The token decides, not the route: a token that names a key is never accepted without proof of it,
//! and a `cnf` we can't verify is refused, never read as absent.

use super::Denial;
use super::jose::{Json, Object};
use super::jwk::Thumbprint;
use super::mtls::CertificateThumbprint;

/// What a token is bound to. If both are set, both must hold (CNF-05); if none is, the token is unbound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Confirmation {
    /// `jkt`: the thumbprint of a DPoP key (RFC 9449 section 6.1).
    pub jkt: Option<Thumbprint>,
    /// `x5t#S256`: the thumbprint of a client certificate (RFC 8705 section 3.1).
    pub x5t: Option<CertificateThumbprint>,
}

impl Confirmation {
    /// Reads the claim: an object (CNF-01). Other members are ignored (RFC 7800 section 3.1; CNF-03, CNF-06),
    /// but at least one of ours must be there, and a malformed one is never the same as none (CNF-04,
    /// DPOP-20).
    pub fn of(claims: &Object<'_>) -> Result<Confirmation, Denial> {
        let Some(claim) = claims.get("cnf") else { return Ok(Confirmation::default()) };
        let cnf = claim.as_object().ok_or(Denial::ConfirmationUnknown)?;
        let jkt = member(cnf.get("jkt"), Thumbprint::parse)?;
        let x5t = member(cnf.get("x5t#S256"), CertificateThumbprint::parse)?;
        if jkt.is_none() && x5t.is_none() {
            return Err(Denial::ConfirmationUnknown);
        }
        Ok(Confirmation { jkt, x5t })
    }

    /// The thumbprint that stands for the holder: of the DPoP key, else of the certificate.
    pub fn thumbprint(&self) -> Option<&str> {
        let certificate = || self.x5t.as_ref().map(|x5t| x5t.as_str());
        self.jkt.as_ref().map(|jkt| jkt.as_str()).or_else(certificate)
    }
}

fn member<T>(value: Option<&Json<'_>>, parse: fn(&str) -> Option<T>) -> Result<Option<T>, Denial> {
    value.map(|v| v.as_str().and_then(parse).ok_or(Denial::ConfirmationUnknown)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    const JKT: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";

    fn of(cnf: &str) -> Result<Confirmation, Denial> {
        Confirmation::of(&Json::parse_object(format!(r#"{{"cnf":{cnf}}}"#).as_bytes()).unwrap())
    }

    /// CNF-01, CNF-04, DPOP-20, DG-011, DG-012, DG-013, DG-017
    #[test]
    fn what_cannot_be_verified_is_never_unbound() {
        for wrong in
            ["null", "{}", "[]", "true", "\"x\"", r#"{"jkt":null}"#, r#"{"jkt":""}"#, r#"{"foo":"x"}"#]
        {
            assert_eq!(of(wrong), Err(Denial::ConfirmationUnknown), "{wrong}");
        }
        for wrong in [
            format!(r#"["{JKT}"]"#),
            format!(r#"{{"jkt":"{JKT}="}}"#),
            format!(r#"{{"jkt":"{}J"}}"#, &JKT[..42]),
            format!(r#"{{"jkt":"{JKT}","x5t#S256":null}}"#),
            format!(r#"{{"jkt":["{JKT}"]}}"#),
            r#"{"kid":"1"}"#.to_owned(),
            r#"{"jwk":{}}"#.to_owned(),
        ] {
            assert_eq!(of(&wrong), Err(Denial::ConfirmationUnknown), "{wrong}");
        }
        assert_eq!(Confirmation::of(&Object::default()), Ok(Confirmation::default()));
    }

    /// CNF-02, CNF-03, CNF-06, DG-014
    #[test]
    fn unknown_members_beside_a_known_one_are_ignored() {
        let keycloak = of(&format!(r#"{{"jkt":"{JKT}","kc-jkt-type":"DPoP"}}"#)).unwrap();
        assert_eq!(keycloak.jkt.unwrap().as_str(), JKT);
        let more = of(&format!(r#"{{"jkt":"{JKT}","jwk":{{}},"jku":"https://x"}}"#)).unwrap();
        assert!(more.jkt.is_some() && more.x5t.is_none());
        let both = of(&format!(r#"{{"jkt":"{JKT}","x5t#S256":"{JKT}"}}"#)).unwrap();
        assert!(both.jkt.is_some() && both.x5t.is_some());
    }
}
