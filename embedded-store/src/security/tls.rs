//! The server's side of TLS: which certificate it shows, and how that is exchanged while it runs.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

use super::development::{self, DevelopmentError};
use crate::options::Tls;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("{} is not a readable PEM file", path.display())]
    Pem {
        path: PathBuf,
        #[source]
        source: pem::Error,
    },
    #[error("{} holds no certificate", .0.display())]
    NoCertificate(PathBuf),
    #[error("the private key does not belong to the certificate, or is of no known kind")]
    Key(#[source] rustls::Error),
    #[error(transparent)]
    Development(#[from] DevelopmentError),
}

/// Everything that is needed to accept TLS connections.
#[derive(Clone)]
pub(crate) struct Encryption {
    certificates: Arc<Certificates>,
    config: Arc<ServerConfig>,
    ca_file: Option<PathBuf>,
}

impl std::fmt::Debug for Encryption {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let source = &self.certificates.source;
        formatter.debug_struct("Encryption").field("source", source).finish_non_exhaustive()
    }
}

impl Encryption {
    /// Reads or makes the certificates. Reads from the disk, so not for an async thread.
    pub(crate) fn new(tls: &Tls, data_dir: &Path, advertised: &str) -> Result<Self, TlsError> {
        // Not the provider of the process, which is for its owner to choose.
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let current = match tls {
            Tls::Files { certificate_chain, private_key } => {
                read(certificate_chain, private_key, &provider)?
            }
            Tls::Development => {
                let identity = development::identity(data_dir, advertised)?;
                CertifiedKey::from_der(identity.chain, identity.key, &provider)
                    .map_err(TlsError::Key)?
            }
        };
        let certificates = Arc::new(Certificates {
            source: tls.clone(),
            provider: Arc::clone(&provider),
            current: RwLock::new(Arc::new(current)),
        });
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Key)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&certificates) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let ca_file = match tls {
            Tls::Files { .. } => None,
            Tls::Development => Some(development::ca_file(data_dir)),
        };
        Ok(Self { certificates, config: Arc::new(config), ca_file })
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }

    /// The certificate that clients have to trust, if this server made it itself.
    pub(crate) fn ca_file(&self) -> Option<&Path> {
        self.ca_file.as_deref()
    }

    /// Reads the certificate again; true if it is another one. Connections that exist keep theirs.
    /// Reads from the disk, so not for an async thread.
    pub(crate) fn reload(&self) -> Result<bool, TlsError> {
        self.certificates.reload()
    }
}

/// The certificate of the moment, and where the next one will be.
#[derive(Debug)]
struct Certificates {
    source: Tls,
    provider: Arc<CryptoProvider>,
    current: RwLock<Arc<CertifiedKey>>,
}

impl Certificates {
    fn reload(&self) -> Result<bool, TlsError> {
        let Tls::Files { certificate_chain, private_key } = &self.source else { return Ok(false) };
        let next = read(certificate_chain, private_key, &self.provider)?;
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.cert == next.cert {
            return Ok(false);
        }
        *current = Arc::new(next);
        Ok(true)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

fn read(
    chain_file: &Path,
    key_file: &Path,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| TlsError::Pem { path, source }
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(chain_file)
        .and_then(Iterator::collect)
        .map_err(unreadable(chain_file))?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate(chain_file.to_owned()));
    }
    let key = PrivateKeyDer::from_pem_file(key_file).map_err(unreadable(key_file))?;
    CertifiedKey::from_der(chain, key, provider).map_err(TlsError::Key)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rcgen::{CertificateParams, KeyPair};
    use tempfile::TempDir;

    use super::*;

    fn files(directory: &Path) -> Tls {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
        let (chain_file, key_file) = (directory.join("node.crt"), directory.join("node.key"));
        fs::write(&chain_file, certificate.pem()).unwrap();
        fs::write(&key_file, key.serialize_pem()).unwrap();
        Tls::Files { certificate_chain: chain_file, private_key: key_file }
    }

    fn open(tls: &Tls) -> Result<Encryption, TlsError> {
        Encryption::new(tls, Path::new("unused"), "localhost")
    }

    /// Whether a new connection is encrypted with the certificate that stands in the file now.
    async fn shows_what_is_in(directory: &Path, encryption: &Encryption) -> bool {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(directory.join("node.crt")).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let (client, server) = tokio::io::duplex(64 * 1024);
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let (accepted, connected) = tokio::join!(
            encryption.acceptor().accept(server),
            connector.connect("localhost".try_into().unwrap(), client),
        );
        assert_eq!(accepted.is_ok(), connected.is_ok());
        connected.is_ok()
    }

    #[tokio::test]
    async fn a_new_certificate_is_shown_when_it_is_there_and_a_bad_one_is_not() {
        let directory = TempDir::new().unwrap();
        let path = directory.path();
        let encryption = open(&files(path)).unwrap();
        assert!(!encryption.reload().unwrap());
        assert!(shows_what_is_in(path, &encryption).await);
        files(path);
        assert!(!shows_what_is_in(path, &encryption).await);
        assert!(encryption.reload().unwrap());
        assert!(shows_what_is_in(path, &encryption).await);
        fs::write(path.join("node.key"), "nonsense").unwrap();
        encryption.reload().unwrap_err();
        assert!(shows_what_is_in(path, &encryption).await);
    }

    #[test]
    fn files_that_are_missing_empty_or_do_not_fit_are_refused() {
        let (first, second) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let Tls::Files { certificate_chain, .. } = files(first.path()) else { unreachable!() };
        let Tls::Files { private_key, .. } = files(second.path()) else { unreachable!() };
        let crossed = Tls::Files { certificate_chain, private_key: private_key.clone() };
        assert!(matches!(open(&crossed), Err(TlsError::Key(_))));
        let empty = second.path().join("empty");
        fs::write(&empty, "").unwrap();
        let empty = Tls::Files { certificate_chain: empty, private_key: private_key.clone() };
        assert!(matches!(open(&empty), Err(TlsError::NoCertificate(_))));
        let missing = second.path().join("missing");
        let missing = Tls::Files { certificate_chain: missing, private_key };
        assert!(matches!(open(&missing), Err(TlsError::Pem { .. })));
    }
}
