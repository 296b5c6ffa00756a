//! A token as the index asks about it: which facts hold of it.

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

/// A token, and where it has what the operator says.
pub(super) struct Presented<'a> {
    pub(super) token: &'a AccessToken,
    pub(super) claims: Option<&'a SubjectClaims>,
}

impl Presented<'_> {
    fn claim(&self, name: &str) -> Option<&str> {
        self.token.claims().get(name).and_then(Json::as_str)
    }
}

impl Bearer for Presented<'_> {
    fn issuer(&self) -> &str {
        self.token.issuer()
    }
    fn issued_at(&self) -> Timestamp {
        self.token.issued_at()
    }
    /// What is empty says nothing.
    fn fact(&self, fact: Fact) -> Option<Cow<'_, str>> {
        let (token, bound) = (self.token, self.token.confirmation());
        let text = match fact {
            Fact::TokenId => Some(token.token_id()),
            Fact::Subject => Some(token.subject()),
            Fact::Session => self.claim("sid"),
            Fact::Client => Some(token.client()),
            Fact::Key => bound.jkt.as_ref().map(Thumbprint::as_str),
            Fact::Certificate => bound.x5t.as_ref().map(CertificateThumbprint::as_str),
            Fact::SigningKey => token.signing_key(),
            Fact::Email => {
                let address = self.claim("email").filter(|address| !address.is_empty());
                return address.map(|address| Cow::Owned(canonical_email(address)));
            }
            Fact::Phone => self.claim("phone_number"),
            Fact::Tenant => self.claim(self.claims?.tenant.as_ref()?),
            Fact::Device => self.claim(self.claims?.device.as_ref()?),
        };
        text.filter(|text| !text.is_empty()).map(Cow::Borrowed)
    }
}
