//! What is known about a person, and how it is kept: sealed.
//!
//! Nothing in here ever stands in an event in clear. An event carries [`Sealed`] values, which only
//! the holder of the person's key can open; who opens and seals is not this crate's business.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ids::{CountryCode, SubjectId};

/// Personal data, encrypted under the key of one person.
///
/// AES-256-GCM with the 16 bytes of the tag at the end (NIST SP 800-38D). What it was sealed for (its
/// stream and the event type in `sealed_in`) is authenticated with it: it cannot be opened anywhere
/// else. The same clear text sealed again for the same place is the same value, so a command that is
/// repeated stays the same command.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Sealed {
    /// Whose data.
    pub subject: SubjectId,
    /// Under which of their keys; it can be opened as long as that key exists.
    pub key: Uuid,
    /// Type of the event it was sealed for.
    pub sealed_in: String,
    /// Base64 (RFC 4648 §4): 12 bytes of nonce, the encrypted text, 16 bytes of tag.
    pub ciphertext: String,
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({}, {} bytes)", self.subject, self.ciphertext.len())
    }
}

/// How to reach somebody. In clear: never part of an event.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Contact {
    /// Full name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// E-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Telephone number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// BCP 47 language tag, such as `en-GB`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
}

/// Where to send something. In clear: never part of an event.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PostalAddress {
    /// Who receives it there.
    pub name: String,
    /// Organisation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub company: Option<String>,
    /// Street, house number and so on, in the order they are printed.
    pub lines: Vec<String>,
    /// Town.
    pub city: String,
    /// Postal code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postal_code: Option<String>,
    /// State, province or county.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Country.
    pub country: CountryCode,
}

// Printed, both would be personal data in a log.

impl fmt::Debug for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Contact(…)")
    }
}

impl fmt::Debug for PostalAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostalAddress({}, …)", self.country)
    }
}
