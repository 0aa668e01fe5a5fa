//! Who may set up TLS, and when.

use std::process::Command;

use journal::{Address, Error, Journal, Options, SystemClock, prepare_tls};

/// Runs one test of this binary in a process of its own, where nothing has set up TLS yet.
fn in_a_process_of_its_own(test: &str, certificates: Option<&str>) {
    let program = std::env::current_exe().unwrap();
    let arguments = ["--exact", "--ignored", "--test-threads=1", test];
    let mut command = Command::new(program);
    command.args(arguments).envs(certificates.map(|file| ("SSL_CERT_FILE", file)));
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{output:?}");
}

#[test]
fn tls_that_somebody_else_has_set_up_is_an_error_that_says_so() {
    in_a_process_of_its_own("tls::somebody_else_was_first", None);
}

#[test]
#[ignore = "run in a process of its own by the test above"]
fn somebody_else_was_first() {
    rustls::crypto::aws_lc_rs::default_provider().install_default().unwrap();
    assert_eq!(prepare_tls(), Err(Error::Tls));
    assert_eq!(prepare_tls(), Err(Error::Tls));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let options = Options::new("esdb://127.0.0.1:1?tls=false".parse::<Address>().unwrap());
        let connected = Journal::connect(options, std::sync::Arc::new(SystemClock));
        assert_eq!(connected.unwrap_err(), Error::Tls);
    });
}

#[test]
fn after_preparing_everybody_else_finds_tls_set_up() {
    in_a_process_of_its_own("tls::we_were_first", None);
}

#[test]
#[ignore = "run in a process of its own by the test above"]
fn we_were_first() {
    prepare_tls().unwrap();
    assert!(rustls::crypto::CryptoProvider::get_default().is_some());
    // As a multi-threaded binary does it: the runtime comes after.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async { assert_eq!(prepare_tls(), Ok(())) });
}

#[test]
fn certificates_that_cannot_be_read_are_an_error_that_says_so() {
    in_a_process_of_its_own("tls::without_certificates", Some("/nowhere/certificates.pem"));
}

#[test]
#[ignore = "run in a process of its own by the test above"]
fn without_certificates() {
    let error = prepare_tls().unwrap_err();
    assert_eq!(error, Error::Tls);
    assert!(error.to_string().contains("ca-certificates"), "{error}");
}
