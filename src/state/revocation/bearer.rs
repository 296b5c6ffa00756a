//! An access token as events speak of it: which of its claims is which fact.

use super::event::Fact;
use super::event::subject::canonical_email;
use super::index::Bearer;
use crate::config::SubjectClaims;
use crate::pop::Timestamp;
use crate::pop::access_token::AccessToken;
use crate::pop::jose::Json;
use crate::pop::jwk::Thumbprint;
use crate::pop::mtls::CertificateThumbprint;
use std::borrow::Cow;

impl Bearer for AccessToken {
    fn issuer(&self) -> &str {
        self.issuer()
    }
    fn issued_at(&self) -> Timestamp {
        self.issued_at()
    }
    fn fact(&self, fact: Fact) -> Option<Cow<'_, str>> {
        let claim = |name| self.claims().get(name).and_then(Json::as_str);
        let text = match fact {
            Fact::TokenId => Some(self.token_id()),
            Fact::Subject => Some(self.subject()),
            Fact::Session => claim("sid"),
            Fact::Client => Some(self.client()),
            Fact::Key => self.confirmation().jkt.as_ref().map(Thumbprint::as_str),
            Fact::Certificate => self.confirmation().x5t.as_ref().map(CertificateThumbprint::as_str),
            Fact::SigningKey => self.signing_key(),
            Fact::Email => {
                let address = claim("email").filter(|address| !address.is_empty());
                return address.map(|address| Cow::Owned(canonical_email(address)));
            }
            Fact::Phone => claim("phone_number"),
            Fact::Tenant | Fact::Device => None,
        };
        text.filter(|text| !text.is_empty()).map(Cow::Borrowed)
    }
}

/// A token, and where it has what the operator says.
pub(super) struct Presented<'a> {
    pub(super) token: &'a AccessToken,
    pub(super) claims: Option<&'a SubjectClaims>,
}

impl Bearer for Presented<'_> {
    fn issuer(&self) -> &str {
        self.token.issuer()
    }
    fn issued_at(&self) -> Timestamp {
        self.token.issued_at()
    }
    fn fact(&self, fact: Fact) -> Option<Cow<'_, str>> {
        let name = match fact {
            Fact::Tenant => self.claims?.tenant.as_ref()?,
            Fact::Device => self.claims?.device.as_ref()?,
            Fact::TokenId
            | Fact::Subject
            | Fact::Session
            | Fact::Client
            | Fact::Key
            | Fact::Certificate
            | Fact::SigningKey
            | Fact::Email
            | Fact::Phone => return self.token.fact(fact),
        };
        let text = self.token.claims().get(name).and_then(Json::as_str);
        text.filter(|text| !text.is_empty()).map(Cow::Borrowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pop::forge;

    /// SUBID-04, RV-032
    #[test]
    fn an_address_is_compared_in_lower_case_and_a_tenant_where_the_operator_says() {
        let token = forge::establish(&forge::token(|_, claims| {
            claims["email"] = "Alice+Home@Example.COM".into();
            claims["tid"] = "acme".into();
            claims["did"] = "".into();
        }))
        .unwrap();
        let named = SubjectClaims { tenant: Some("tid".to_owned()), device: Some("did".to_owned()) };
        let fact = |claims, fact| {
            let told = Presented { token: &token, claims };
            told.fact(fact).map(Cow::into_owned)
        };
        for claims in [None, Some(&named)] {
            assert_eq!(fact(claims, Fact::Email).as_deref(), Some("alice+home@example.com"));
            assert_eq!(fact(claims, Fact::Subject).as_deref(), Some("alice"));
            assert_eq!(fact(claims, Fact::Device), None, "an empty claim says nothing");
            assert_eq!(fact(claims, Fact::Phone), None);
        }
        assert_eq!(fact(Some(&named), Fact::Tenant).as_deref(), Some("acme"));
        assert_eq!(fact(None, Fact::Tenant), None);
    }
}
