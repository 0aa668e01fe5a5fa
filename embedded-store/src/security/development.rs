//! Certificates for development: an authority of the data directory's own, which clients are told to
//! trust, and a certificate for this machine's names that is made anew at every start. Not for a
//! network that others use: whoever can read the authority's key can pretend to be this server.

use std::fs;
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// Where in the data directory.
const FOLDER: &str = "tls";
const CERTIFICATE: &str = "ca.crt";
const KEY: &str = "ca.key";

const DAY: Duration = Duration::from_hours(24);

/// Why there are no certificates.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DevelopmentError {
    #[error("{} cannot be read or written", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("a certificate cannot be made; delete the folder tls in the data directory")]
    Certificate(#[from] rcgen::Error),
}

/// Certificate and key of a server that is called by any of this machine's names.
pub(crate) struct Identity {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

/// The file that clients have to be given.
pub(crate) fn ca_file(data_dir: &Path) -> PathBuf {
    data_dir.join(FOLDER).join(CERTIFICATE)
}

/// A new identity for this machine and for `advertised`, from the authority in `data_dir`, which is
/// created if it is missing.
pub(crate) fn identity(data_dir: &Path, advertised: &str) -> Result<Identity, DevelopmentError> {
    let folder = data_dir.join(FOLDER);
    fs::create_dir_all(&folder).map_err(at(&folder))?;
    let authority = authority(&folder)?;
    let key = KeyPair::generate()?;
    let certificate = server_certificate(advertised)?.signed_by(&key, &authority)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    Ok(Identity { chain: vec![certificate.der().clone()], key })
}

/// The authority of this folder. Its certificate follows from its key.
fn authority(folder: &Path) -> Result<Issuer<'static, KeyPair>, DevelopmentError> {
    let (key_file, certificate_file) = (folder.join(KEY), folder.join(CERTIFICATE));
    let (key, is_new) = match fs::read_to_string(&key_file) {
        Ok(pem) => (KeyPair::from_pem(&pem)?, false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (KeyPair::generate()?, true),
        Err(error) => return Err(at(&key_file)(error)),
    };
    if is_new {
        write(&key_file, &key.serialize_pem(), 0o600)?;
    }
    let params = authority_certificate(&key);
    if is_new || !certificate_file.exists() {
        write(&certificate_file, &params.self_signed(&key)?.pem(), 0o644)?;
        let path = certificate_file.display();
        tracing::info!(%path, "a certificate authority for development was created");
    }
    Ok(Issuer::new(params, key))
}

fn authority_certificate(key: &KeyPair) -> CertificateParams {
    let mut params = CertificateParams::default();
    // Two authorities must not have the same name, or a client that trusts both is confused.
    let mark: [u8; 4] = params.key_identifier(key).first_chunk().copied().unwrap_or_default();
    let mark = u32::from_be_bytes(mark);
    params.distinguished_name = name(&format!("embedded store development {mark:08x}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2120, 1, 1);
    params
}

fn server_certificate(advertised: &str) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = name("embedded store");
    params.subject_alt_names = alternative_names(advertised)?;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let now = SystemTime::now();
    params.not_before = (now - DAY).into();
    params.not_after = (now + 3650 * DAY).into();
    Ok(params)
}

/// Everything that a client on this machine or near it may call the server.
fn alternative_names(advertised: &str) -> Result<Vec<SanType>, rcgen::Error> {
    let mut names = vec![
        SanType::DnsName("localhost".try_into()?),
        SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        SanType::IpAddress(IpAddr::V6(Ipv6Addr::LOCALHOST)),
    ];
    let machine = rustix::system::uname();
    for host in machine.nodename().to_str().into_iter().chain([advertised]) {
        let name = match host.parse() {
            Ok(address) => Some(SanType::IpAddress(address)),
            // A name that cannot stand in a certificate cannot be called by TLS clients either.
            Err(_) => host.try_into().ok().map(SanType::DnsName),
        };
        if let Some(name) = name
            && !names.contains(&name)
        {
            names.push(name);
        }
    }
    Ok(names)
}

fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    name
}

/// Writes a file whole or not at all.
fn write(path: &Path, content: &str, mode: u32) -> Result<(), DevelopmentError> {
    let unfinished = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    options
        .open(&unfinished)
        .and_then(|mut file| {
            file.write_all(content.as_bytes())?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&unfinished, path))
        .map_err(at(path))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> DevelopmentError {
    let path = path.to_owned();
    move |source| DevelopmentError::File { path, source }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier as _;
    use rustls::pki_types::{ServerName, UnixTime, pem::PemObject as _};
    use tempfile::TempDir;

    use super::*;

    fn trusts(ca_file: &Path, identity: &Identity, name: &str) -> bool {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(ca_file).unwrap()).unwrap();
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        let name = ServerName::try_from(name).unwrap().to_owned();
        let end = &identity.chain[0];
        verifier.verify_server_cert(end, &[], &name, &[], UnixTime::now()).is_ok()
    }

    #[test]
    fn a_client_that_trusts_the_authority_trusts_the_server_by_all_its_names() {
        let directory = TempDir::new().unwrap();
        let identity = identity(directory.path(), "store.example").unwrap();
        let ca_file = ca_file(directory.path());
        for name in ["localhost", "127.0.0.1", "::1", "store.example"] {
            assert!(trusts(&ca_file, &identity, name), "{name}");
        }
        assert!(!trusts(&ca_file, &identity, "elsewhere.example"));
    }

    #[test]
    fn the_authority_stays_the_same() {
        let directory = TempDir::new().unwrap();
        identity(directory.path(), "localhost").unwrap();
        let ca_file = ca_file(directory.path());
        let before = fs::read(&ca_file).unwrap();
        let second = identity(directory.path(), "localhost").unwrap();
        assert_eq!(fs::read(&ca_file).unwrap(), before);
        assert!(trusts(&ca_file, &second, "localhost"));
        fs::remove_file(&ca_file).unwrap();
        let third = identity(directory.path(), "localhost").unwrap();
        assert!(trusts(&ca_file, &third, "localhost"));
    }

    #[test]
    #[cfg(unix)]
    fn the_key_of_the_authority_is_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = TempDir::new().unwrap();
        identity(directory.path(), "localhost").unwrap();
        let key = directory.path().join(FOLDER).join(KEY);
        assert_eq!(fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
