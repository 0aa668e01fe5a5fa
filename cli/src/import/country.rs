//! Names of countries as shops write them.

use domain::ids::CountryCode;

/// Names and their ISO 3166-1 codes. Islands that share a name have no code of their own; parcels
/// to the Channel Islands go by way of Jersey.
const NAMES: &[(&str, &str)] = &[
    ("Australia", "AU"),
    ("Austria", "AT"),
    ("Bahrain", "BH"),
    ("Belgium", "BE"),
    ("Bermuda", "BM"),
    ("Brazil", "BR"),
    ("Canada", "CA"),
    ("Channel Islands", "JE"),
    ("Cyprus", "CY"),
    ("Czech Republic", "CZ"),
    ("Denmark", "DK"),
    ("EIRE", "IE"),
    ("Finland", "FI"),
    ("France", "FR"),
    ("Germany", "DE"),
    ("Greece", "GR"),
    ("Hong Kong", "HK"),
    ("Iceland", "IS"),
    ("Ireland", "IE"),
    ("Israel", "IL"),
    ("Italy", "IT"),
    ("Japan", "JP"),
    ("Korea", "KR"),
    ("Lebanon", "LB"),
    ("Lithuania", "LT"),
    ("Malta", "MT"),
    ("Netherlands", "NL"),
    ("Nigeria", "NG"),
    ("Norway", "NO"),
    ("Poland", "PL"),
    ("Portugal", "PT"),
    ("RSA", "ZA"),
    ("Saudi Arabia", "SA"),
    ("Singapore", "SG"),
    ("Spain", "ES"),
    ("Sweden", "SE"),
    ("Switzerland", "CH"),
    ("Thailand", "TH"),
    ("USA", "US"),
    ("United Arab Emirates", "AE"),
    ("United Kingdom", "GB"),
    ("West Indies", "JM"),
];

/// The code of a country; a two-letter code stands for itself, an unknown name for `ZZ`, which
/// ISO 3166-1 leaves free for that.
pub(crate) fn code_of(name: &str) -> CountryCode {
    let known = NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    let code = known.map_or(name, |(_, code)| code);
    match CountryCode::new(code) {
        Ok(code) if code.as_str().len() == 2 => code,
        Ok(_) | Err(_) => unknown(),
    }
}

#[expect(clippy::expect_used, reason = "two capital letters are a country code")]
fn unknown() -> CountryCode {
    CountryCode::new("ZZ").expect("ZZ is well-formed")
}
