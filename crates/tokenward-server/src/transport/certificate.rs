//! The certificate of the server, and the authority of its clients; both are taken up anew when they are renewed on disk.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use anyhow::{Context, Result};
use arc_swap::ArcSwap;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme};
use tokenward_core::sync::lock;
use tokio_rustls::TlsAcceptor;

/// A certificate chain and its key, both PEM files.
#[derive(Debug)]
pub struct Certificate {
    chain: PathBuf,
    key: PathBuf,
    current: ArcSwap<CertifiedKey>,
    /// When the two files were last written, as of the last look.
    written: Mutex<[Option<SystemTime>; 2]>,
}

impl Certificate {
    /// Reads it.
    pub fn read(chain: &Path, key: &Path) -> Result<Arc<Self>> {
        let written = Mutex::new(written(chain, key));
        let current = ArcSwap::from_pointee(pair(chain, key)?);
        Ok(Arc::new(Self { chain: chain.to_owned(), key: key.to_owned(), current, written }))
    }

    /// TLS with it, whichever it is when a connection begins. With an authority for clients, only those are let in whom it
    /// has certified.
    pub fn acceptor(self: &Arc<Self>, clients: Option<&Arc<Authority>>) -> Result<TlsAcceptor> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider);
        let config = config.with_safe_default_protocol_versions()?;
        let config = match clients {
            None => config.with_no_client_auth(),
            Some(authority) => config.with_client_cert_verifier(Arc::clone(authority) as Arc<dyn ClientCertVerifier>),
        };
        let mut config = config.with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        if clients.is_some() {
            // A session that is resumed asks for no certificate: its client's authority may be gone by then.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// Takes up files that were written since the last look. While they cannot be used, because one of them is still the
    /// old one, say, the present certificate stays. Answers whether there is another one now.
    pub fn renew(&self) -> Result<bool> {
        let now = written(&self.chain, &self.key);
        let mut before = lock(&self.written);
        if *before == now {
            return Ok(false);
        }
        let pair = pair(&self.chain, &self.key)?;
        *before = now;
        let same = pair.cert == self.current.load().cert;
        self.current.store(Arc::new(pair));
        Ok(!same)
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

/// Who certifies clients: a PEM file. Connections that are open outlive a change of it.
#[derive(Debug)]
pub struct Authority {
    path: PathBuf,
    current: ArcSwap<Arc<dyn ClientCertVerifier>>,
    /// When the file was last written, as of the last look.
    written: Mutex<Option<SystemTime>>,
}

impl Authority {
    /// Reads it.
    pub fn read(path: &Path) -> Result<Arc<Self>> {
        let written = Mutex::new(modified(path));
        let current = ArcSwap::from_pointee(verifier(path)?);
        Ok(Arc::new(Self { path: path.to_owned(), current, written }))
    }

    /// Takes up the file where it was written since the last look. While it cannot be used, the present authority stays.
    /// Answers whether there is another one now.
    pub fn renew(&self) -> Result<bool> {
        let now = modified(&self.path);
        let mut before = lock(&self.written);
        if *before == now {
            return Ok(false);
        }
        self.current.store(Arc::new(verifier(&self.path)?));
        *before = now;
        Ok(true)
    }
}

impl ClientCertVerifier for Authority {
    /// None: an Envoy has one certificate, and sends it without being told whose it must be.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.current.load().verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.current.load().verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.current.load().verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.current.load().supported_verify_schemes()
    }
}

fn verifier(path: &Path) -> Result<Arc<dyn ClientCertVerifier>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(WebPkiClientVerifier::builder_with_provider(Arc::new(authorities(path)?), provider).build()?)
}

/// The authorities of a PEM file; there must be one.
fn authorities(path: &Path) -> Result<RootCertStore> {
    let read = || -> Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(path)? {
            roots.add(certificate?)?;
        }
        anyhow::ensure!(!roots.is_empty(), "there is no certificate in it");
        Ok(roots)
    };
    read().with_context(|| format!("cannot use {} as the authority of clients: it must be PEM", path.display()))
}

fn written(chain: &Path, key: &Path) -> [Option<SystemTime>; 2] {
    [chain, key].map(modified)
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|it| it.modified()).ok()
}

fn pair(chain: &Path, key: &Path) -> Result<CertifiedKey> {
    let read = || -> Result<CertifiedKey> {
        let certificates: Vec<CertificateDer<'static>> =
            CertificateDer::pem_file_iter(chain)?.collect::<Result<_, _>>()?;
        let key = PrivateKeyDer::from_pem_file(key)?;
        // That they belong together is checked, too.
        Ok(CertifiedKey::from_der(certificates, key, &rustls::crypto::aws_lc_rs::default_provider())?)
    };
    read().with_context(|| {
        let (chain, key) = (chain.display(), key.display());
        format!("cannot use the certificate {chain} with the key {key}: both must be PEM, and belong together")
    })
}
