//! What callers say about persons: read, checked, and sealed before anything else is done with it.

use async_graphql::{Context, Error, InputObject};
use domain::ids::{CountryCode, CustomerRef, OrderId, SubjectId};
use domain::personal::{Contact, PostalAddress, Sealed};
use futures::FutureExt;
use keyring::Place;
use schemas::stream_of;
use serde::Serialize;

use super::error::keyring_error;
use super::input::read_text;
use super::request::Services;
use super::scalars;
use super::user_error::{Problems, UserError};

/// Characters of a note.
const MAX_NOTE: usize = 2_000;
/// Characters of a name, a company, a line of an address.
const MAX_NAME: usize = 200;
/// Characters of an e-mail address (RFC 5321 §4.5.3.1).
const MAX_EMAIL: usize = 254;
/// Characters of a town or a region.
const MAX_TOWN: usize = 100;
/// Characters of a telephone number, a postal code, a language.
const MAX_CODE: usize = 40;
/// Lines of an address.
const MAX_ADDRESS_LINES: usize = 6;

/// How to reach who ordered. Kept sealed under a key of the person's own.
#[derive(Debug, Clone, InputObject)]
pub(crate) struct ContactInput {
    /// Full name, at most 200 characters.
    name: Option<String>,
    /// E-mail address.
    email: Option<String>,
    /// Telephone number, at most 40 characters.
    phone: Option<String>,
    /// BCP 47 language tag, such as "en-GB".
    locale: Option<String>,
}

/// Where to send something. Kept sealed under a key of the person's own.
#[derive(Debug, Clone, InputObject)]
pub(crate) struct PostalAddressInput {
    /// Who receives it there, at most 200 characters.
    name: String,
    /// Organisation, at most 200 characters.
    company: Option<String>,
    /// Street, house number and so on, in the order they are printed: 1 to 6 lines.
    lines: Vec<String>,
    /// Town, at most 100 characters.
    city: String,
    /// Postal code, at most 40 characters.
    postal_code: Option<String>,
    /// State, province or county, at most 100 characters.
    region: Option<String>,
    /// Country.
    pub(crate) country: scalars::CountryCode,
}

impl ContactInput {
    pub(crate) fn read(&self, path: &[String], problems: &mut Problems) -> Option<Contact> {
        if self.name.is_none() && self.email.is_none() && self.phone.is_none() {
            let message = "a contact needs a name, an e-mail address or a telephone number";
            problems.add(UserError::invalid(path.to_vec(), message));
            return None;
        }
        let mut read = |text: &Option<String>, field: &str, what: &str, max: usize| {
            optional(text.as_deref(), what, max, below(path, field), problems)
        };
        let name = read(&self.name, "name", "a name", MAX_NAME);
        let email = read(&self.email, "email", "an e-mail address", MAX_EMAIL);
        let phone = read(&self.phone, "phone", "a telephone number", MAX_CODE);
        let locale = read(&self.locale, "locale", "a language tag", MAX_CODE);
        if let Some(Some(email)) = &email {
            problems.check(check_email(email), below(path, "email"))?;
        }
        Some(Contact { name: name?, email: email?, phone: phone?, locale: locale? })
    }
}

impl PostalAddressInput {
    pub(crate) fn read(&self, path: &[String], problems: &mut Problems) -> Option<PostalAddress> {
        let name = problems.check(read_text(&self.name, "a name", MAX_NAME), below(path, "name"));
        let city = problems.check(read_text(&self.city, "a town", MAX_TOWN), below(path, "city"));
        let country = problems.check(read_country(&self.country.0), below(path, "country"));
        let lines = self.read_lines(path, problems);
        let mut read = |text: &Option<String>, field: &str, what: &str, max: usize| {
            optional(text.as_deref(), what, max, below(path, field), problems)
        };
        let company = read(&self.company, "company", "an organisation", MAX_NAME);
        let postal_code = read(&self.postal_code, "postalCode", "a postal code", MAX_CODE);
        let region = read(&self.region, "region", "a region", MAX_TOWN);
        Some(PostalAddress {
            name: name?,
            company: company?,
            lines: lines?,
            city: city?,
            postal_code: postal_code?,
            region: region?,
            country: country?,
        })
    }

    fn read_lines(&self, path: &[String], problems: &mut Problems) -> Option<Vec<String>> {
        let count = self.lines.len();
        if !(1..=MAX_ADDRESS_LINES).contains(&count) {
            let message = format!("an address has 1 to {MAX_ADDRESS_LINES} lines, not {count}");
            problems.add(UserError::invalid(below(path, "lines"), message));
            return None;
        }
        let read = |(n, line): (usize, &String)| {
            let field = [below(path, "lines"), vec![n.to_string()]].concat();
            problems.check(read_text(line, "a line of an address", MAX_NAME), field)
        };
        let lines: Vec<_> = self.lines.iter().enumerate().filter_map(read).collect();
        (lines.len() == count).then_some(lines)
    }
}

/// A note of 1 to 2000 characters.
pub(crate) fn read_note(text: &str) -> Result<String, String> {
    read_text(text, "a note", MAX_NOTE)
}

/// One capital letter is a code that the domain takes, but no country.
pub(crate) fn read_country(text: &str) -> Result<CountryCode, String> {
    let code = CountryCode::new(text).map_err(|error| error.to_string())?;
    if text.len() == 2 {
        return Ok(code);
    }
    Err("a country code has two capital letters, such as GB".to_owned())
}

/// `None` when it is wrong, `Some(None)` when it is left out.
#[expect(clippy::option_option, reason = "the outer one says that a problem was noted")]
fn optional(
    text: Option<&str>,
    what: &str,
    max: usize,
    field: Vec<String>,
    problems: &mut Problems,
) -> Option<Option<String>> {
    match text {
        None => Some(None),
        Some(text) => problems.check(read_text(text, what, max), field).map(Some),
    }
}

/// Whether it may be one: what is right is for the mail server to say.
fn check_email(email: &str) -> Result<(), &'static str> {
    let ends =
        email.rsplit_once('@').is_some_and(|(who, host)| !who.is_empty() && !host.is_empty());
    if ends && !email.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Ok(());
    }
    Err("an e-mail address has an @ with something on both sides, and no spaces")
}

fn below(path: &[String], field: &str) -> Vec<String> {
    [path, &[field.to_owned()]].concat()
}

/// Seals what belongs to one order for the person who ordered.
pub(crate) struct Sealer<'a> {
    ctx: &'a Context<'a>,
    order: OrderId,
    subject: SubjectId,
}

impl<'a> Sealer<'a> {
    /// For `customer`, or for a guest when nobody knows who it is.
    pub(crate) fn new(
        ctx: &'a Context<'a>,
        order: OrderId,
        customer: Option<&CustomerRef>,
    ) -> Self {
        let subject = customer.map_or_else(|| SubjectId::of_guest(order), SubjectId::of_customer);
        Self { ctx, order, subject }
    }

    /// `clear`, sealed for `field` of an event of type `event_type`.
    pub(crate) async fn seal<T: Serialize + Sync>(
        &self,
        event_type: &str,
        field: &str,
        clear: &T,
    ) -> Result<Sealed, Error> {
        let stream = stream_of::<domain::order::Order>(&self.order);
        let place = Place { stream: &stream, event_type, field };
        let keyring = &Services::of(self.ctx).keyring;
        keyring
            .seal(self.subject, &place, clear)
            .boxed()
            .await
            .map_err(|cause| keyring_error(self.ctx, &cause))
    }

    /// The same for what may be missing.
    pub(crate) async fn seal_some<T: Serialize + Sync>(
        &self,
        event_type: &str,
        field: &str,
        clear: Option<&T>,
    ) -> Result<Option<Sealed>, Error> {
        match clear {
            None => Ok(None),
            Some(clear) => self.seal(event_type, field, clear).await.map(Some),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_email_address_has_two_sides() {
        for good in ["a@b", "anna.smith+shop@example.org", "\"odd@name\"@example.org"] {
            assert!(check_email(good).is_ok(), "{good}");
        }
        for bad in ["", "anna", "@example.org", "anna@", "anna @example.org", "a@b\u{7}"] {
            assert!(check_email(bad).is_err(), "{bad}");
        }
    }
}
