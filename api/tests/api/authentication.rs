//! Who is let in.

use std::os::unix::fs::PermissionsExt;

use api::Options;
use api::auth::{DevelopmentIssuer, Refused, SECRET_FILE, Scopes, Verifier};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use journal::{Clock, SystemClock};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::support::{Api, code, sent};

const HELLO: &str = "{ __typename }";

async fn asked(api: &Api, token: &str) -> (u16, Value) {
    sent(api.post_anonymously().bearer_auth(token).json(&json!({ "query": HELLO }))).await
}

#[tokio::test]
async fn a_request_without_a_token_is_not_let_in() {
    let api = Api::start().await;
    let (status, body) = sent(api.post_anonymously().json(&json!({ "query": HELLO }))).await;
    assert_eq!((status, code(&body)), (401, "UNAUTHENTICATED"), "{body:#}");
    let (status, body) = sent(
        api.post_anonymously().basic_auth("admin", Some("pw")).json(&json!({ "query": HELLO })),
    )
    .await;
    assert_eq!((status, code(&body)), (401, "UNAUTHENTICATED"), "{body:#}");
}

#[tokio::test]
async fn a_token_must_be_whole_and_alive_and_meant_for_us() {
    let api = Api::start().await;
    let good = asked(&api, &api.token_with(&json!({}))).await;
    assert_eq!(good.0, 200, "{:#}", good.1);
    let an_hour_ago = SystemClock.now().timestamp() - 3600;
    let in_an_hour = SystemClock.now().timestamp() + 3600;
    for (changes, said) in [
        (json!({ "exp": an_hour_ago }), "expired"),
        (json!({ "exp": null }), "exp"),
        (json!({ "aud": "another" }), "audience"),
        (json!({ "aud": null }), "aud"),
        (json!({ "sub": null }), "sub"),
        (json!({ "sub": "" }), "sub"),
        (json!({ "sub": "two words" }), "sub"),
        (json!({ "nbf": in_an_hour }), "not valid"),
    ] {
        let (status, body) = asked(&api, &api.token_with(&changes)).await;
        assert_eq!((status, code(&body)), (401, "UNAUTHENTICATED"), "{changes}: {body:#}");
        let message = body["errors"][0]["message"].as_str().unwrap();
        assert!(message.contains(said), "{changes}: {message}");
    }
}

#[tokio::test]
async fn a_token_of_another_key_or_algorithm_is_not_let_in() {
    let api = Api::start().await;
    let claims = json!({
        "sub": "client:x", "aud": "orderstore", "exp": SystemClock.now().timestamp() + 3600,
    });
    let forged = EncodingKey::from_secret(b"a secret that nobody has told us");
    let forged = jsonwebtoken::encode(&Header::default(), &claims, &forged).unwrap();
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let unsigned = format!("{}.{}.", part(&json!({ "alg": "none" })), part(&claims));
    for token in [forged.as_str(), &unsigned, "nonsense", ""] {
        let (status, body) = asked(&api, token).await;
        assert_eq!((status, code(&body)), (401, "UNAUTHENTICATED"), "{token}: {body:#}");
    }
}

#[test]
fn the_development_secret_is_made_once_and_only_for_its_owner() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let token = DevelopmentIssuer::open(&data).unwrap();
    let token = token.token("orderstore", None, SystemClock.now()).unwrap();

    let again = DevelopmentIssuer::open(&data).unwrap().verifier("orderstore", None).unwrap();
    let identity = again.verify(&token).unwrap();
    assert_eq!(&*identity.actor, "client:development");
    assert_eq!(identity.scopes, Scopes::all());

    let mode = data.join(SECRET_FILE).metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(data.read_dir().unwrap().count(), 1, "something was left lying about");
}

#[test]
fn a_subject_of_neither_kind_is_a_client() {
    let directory = tempfile::tempdir().unwrap();
    let (private, public) = ed25519(directory.path());
    let verifier = Verifier::from_options(&public).unwrap();
    for (subject, actor) in [
        ("shop", "client:shop"),
        ("client:shop", "client:shop"),
        ("user:anna", "user:anna"),
        ("user:", "client:user:"),
    ] {
        let token = signed(&private, Algorithm::EdDSA, subject, "https://issuer.example");
        assert_eq!(&*verifier.verify(&token).unwrap().actor, actor);
    }
}

#[test]
fn a_public_key_verifies_what_its_issuer_signed_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let (private, public) = ed25519(directory.path());
    let verifier = Verifier::from_options(&public).unwrap();
    let token = signed(&private, Algorithm::EdDSA, "shop", "https://issuer.example");
    assert!(verifier.verify(&token).is_ok());

    let other = signed(&private, Algorithm::EdDSA, "shop", "https://other.example");
    assert_eq!(verifier.verify(&other), Err(Refused::OtherIssuer));

    // The public key is no secret: a token signed with it as one must not pass.
    let pem = std::fs::read(public.jwt_public_key_file.unwrap()).unwrap();
    let secret = EncodingKey::from_secret(&pem);
    let confused = signed(&secret, Algorithm::HS256, "shop", "https://issuer.example");
    assert!(matches!(verifier.verify(&confused), Err(Refused::Invalid { .. })));
}

#[test]
fn without_a_key_or_with_a_short_one_nothing_starts() {
    let none = Verifier::from_options(&Options::default()).unwrap_err().to_string();
    assert!(none.contains("--jwt-secret-file"), "{none}");

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret");
    std::fs::write(&path, "hunter2\n").unwrap();
    let options = Options { jwt_secret_file: Some(path), ..Options::default() };
    let short = Verifier::from_options(&options).unwrap_err().to_string();
    assert!(short.contains("7 bytes"), "{short}");
}

fn signed(key: &EncodingKey, algorithm: Algorithm, subject: &str, issuer: &str) -> String {
    let claims = json!({
        "sub": subject, "aud": "orderstore", "iss": issuer,
        "exp": SystemClock.now().timestamp() + 3600,
    });
    jsonwebtoken::encode(&Header::new(algorithm), &claims, key).unwrap()
}

/// A key pair of Ed25519 (RFC 8410), made from a fixed seed, and options that trust it.
fn ed25519(directory: &std::path::Path) -> (EncodingKey, Options) {
    let mut der = hex("302e020100300506032b657004220420");
    der.extend([7; 32]);
    let private = EncodingKey::from_ed_der(&der);
    let jwk = jsonwebtoken::jwk::Jwk::from_encoding_key(&private, Algorithm::EdDSA).unwrap();
    let jwk = serde_json::to_value(jwk).unwrap();
    let mut public = hex("302a300506032b6570032100");
    public.extend(URL_SAFE_NO_PAD.decode(jwk["x"].as_str().unwrap()).unwrap());
    let encoded = STANDARD.encode(public);
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{encoded}\n-----END PUBLIC KEY-----\n");
    let path = directory.join("issuer.pem");
    std::fs::write(&path, pem).unwrap();
    let options = Options {
        jwt_public_key_file: Some(path),
        jwt_issuer: Some("https://issuer.example".to_owned()),
        ..Options::default()
    };
    (private, options)
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().map(|c| c.to_digit(16).unwrap().try_into().unwrap()).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}
