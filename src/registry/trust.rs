//! Verification of servers: the certificates that the system and the user trust, and the certificates that a server
//! may present.

use crate::error::{Error, HostRemedy, Result};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// The way in which a server's certificate is verified.
pub enum Trust {
    /// Not at all.
    Anything,
    /// Against the system's authorities and these certificates.
    System(Vec<Pem>),
}

/// Certificates or a key in PEM format.
#[derive(Clone, PartialEq, Eq)]
pub enum Pem {
    /// In a file.
    File(PathBuf),
    /// Text in a configuration.
    Text(String),
}

impl Pem {
    fn read(&self) -> Result<Cow<'_, [u8]>> {
        match self {
            Pem::File(file) => std::fs::read(file)
                .map(Cow::Owned)
                .map_err(|e| Error::other(format!("cannot read {}: {e}", file.display()))),
            Pem::Text(text) => Ok(Cow::Borrowed(text.as_bytes())),
        }
    }
}

/// Displays the origin and never a key.
impl fmt::Display for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pem::File(file) => file.display().fmt(f),
            Pem::Text(_) => f.write_str("the configuration"),
        }
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A client certificate with its key.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate, with its chain to an authority.
    pub certificate: Pem,
    /// The private key.
    pub key: Pem,
}

/// Creates the TLS configuration for a host.
pub fn config(host: &str, trust: Trust, identity: Option<Identity>) -> Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match trust {
        Trust::Anything => Arc::new(AnyCertificate(provider.signature_verification_algorithms)),
        Trust::System(pems) => Arc::new(Verifier::new(host, &pems, &provider)?),
    };
    let failed = |e: rustls::Error| Error::other(format!("cannot set up TLS: {e}"));
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(failed)?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(Identity { certificate, key }) => {
            let chain = certificates(&certificate)?;
            let bad = |why: String| Error::other(format!("invalid private key in {key}: {why}"));
            let secret = PrivateKeyDer::from_pem_slice(&key.read()?).map_err(|e| bad(e.to_string()))?;
            builder.with_client_auth_cert(chain, secret).map_err(|e| bad(e.to_string()))?
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Parses the certificates of a PEM text, which must contain at least one.
fn certificates(pem: &Pem) -> Result<Vec<CertificateDer<'static>>> {
    let bad = |why: String| Error::other(format!("invalid certificates in {pem}: {why}"));
    let found = CertificateDer::pem_slice_iter(&pem.read()?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| bad(e.to_string()))?;
    if found.is_empty() { Err(bad("no PEM certificate".into())) } else { Ok(found) }
}

/// The certificates that the system trusts, read once per process because that takes longer than a request.
struct System {
    certificates: Vec<CertificateDer<'static>>,
    /// Why there are none, if reading failed.
    failure: Option<String>,
}

impl System {
    fn get() -> &'static System {
        static SYSTEM: OnceLock<System> = OnceLock::new();
        SYSTEM.get_or_init(|| {
            let found = rustls_native_certs::load_native_certs();
            System { certificates: found.certs, failure: found.errors.first().map(ToString::to_string) }
        })
    }
}

/// A verifier of chains to an authority. A trusted certificate may also be the server's own, as `openssl req -x509`
/// creates it: then only its names and dates are checked, not its issuer or whether it is an authority.
#[derive(Debug)]
struct Verifier {
    chains: Arc<WebPkiServerVerifier>,
    trusted: Vec<CertificateDer<'static>>,
}

impl Verifier {
    fn new(host: &str, pems: &[Pem], provider: &Arc<CryptoProvider>) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        let mut trusted = Vec::new();
        for pem in pems {
            for certificate in certificates(pem)? {
                roots
                    .add(certificate.clone())
                    .map_err(|e| Error::other(format!("invalid certificate in {pem}: {e}")))?;
                trusted.push(certificate);
            }
        }
        let system = System::get();
        roots.add_parsable_certificates(system.certificates.iter().cloned());
        trusted.extend(system.certificates.iter().cloned());
        if roots.is_empty() {
            let why = system.failure.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            return Err(Error::network(format!("{host}: this machine has no CA certificates{why}"))
                .hint(HostRemedy::InstallAuthorities.of(host)));
        }
        let chains = WebPkiServerVerifier::builder_with_provider(roots.into(), provider.clone())
            .build()
            .map_err(|e| Error::other(format!("cannot set up TLS: {e}")))?;
        Ok(Verifier { chains, trusted })
    }
}

/// Returns whether only the issuer, or the role as an authority, is wrong. Dates are checked before either.
fn is_about_issuer(error: &rustls::Error) -> bool {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => true,
        rustls::Error::InvalidCertificate(CertificateError::Other(other)) => {
            matches!(other.0.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
        }
        _ => false,
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.chains.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(error) if is_about_issuer(&error) => {
                if !self.trusted.iter().any(|own| own == end_entity) {
                    return Err(CertificateError::UnknownIssuer.into());
                }
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            outcome => outcome,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chains.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chains.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chains.supported_verify_schemes()
    }
}

/// A verifier that accepts any certificate, for hosts whose verification the user disabled.
#[derive(Debug)]
struct AnyCertificate(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
    use std::time::Duration;

    /// The time at which certificates are checked: 2026-07-01.
    const NOW: u64 = 1_782_864_000;

    fn params(is_ca: IsCa, years: (i32, i32)) -> CertificateParams {
        let mut params = CertificateParams::new(vec!["r.example".into()]).unwrap();
        params.is_ca = is_ca;
        (params.not_before, params.not_after) = (date_time_ymd(years.0, 1, 1), date_time_ymd(years.1, 1, 1));
        params
    }

    fn self_signed(is_ca: IsCa, years: (i32, i32)) -> rcgen::Certificate {
        params(is_ca, years).self_signed(&KeyPair::generate().unwrap()).unwrap()
    }

    /// Verifies a server's certificate against these trusted ones.
    fn judge(
        trusted: &[&rcgen::Certificate],
        server: &rcgen::Certificate,
        name: &str,
    ) -> Result<(), rustls::Error> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.pem");
        std::fs::write(&file, trusted.iter().map(|c| c.pem()).collect::<String>()).unwrap();
        let verifier =
            Verifier::new("r.example", &[Pem::File(file)], &Arc::new(ring::default_provider())).unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(NOW));
        verifier.verify_server_cert(server.der(), &[], &name, &[], now).map(drop)
    }

    const CA: IsCa = IsCa::Ca(BasicConstraints::Unconstrained);

    #[test]
    fn accepts_a_self_signed_server_certificate_that_is_trusted_itself() {
        for is_ca in [CA, IsCa::NoCa, IsCa::ExplicitNoCa] {
            let own = self_signed(is_ca, (2020, 2040));
            let twin = self_signed(is_ca, (2020, 2040));
            judge(&[&twin, &own], &own, "r.example").unwrap();
            assert!(judge(&[&twin], &own, "r.example").is_err(), "only an identical certificate is accepted");
            assert!(judge(&[&own], &own, "s.example").is_err(), "its name must match");
        }
        for years in [(2020, 2025), (2030, 2040)] {
            for is_ca in [CA, IsCa::NoCa] {
                let own = self_signed(is_ca, years);
                assert!(judge(&[&own], &own, "r.example").is_err(), "its dates must be valid: {years:?}");
            }
        }
    }

    #[test]
    fn accepts_certificates_signed_by_a_trusted_authority_and_trusted_leaf_certificates() {
        let key = KeyPair::generate().unwrap();
        let authority = params(CA, (2020, 2040));
        let ca = authority.self_signed(&key).unwrap();
        let issuer = Issuer::new(authority, key);
        let mut leaf = params(IsCa::NoCa, (2020, 2040));
        leaf.distinguished_name.push(rcgen::DnType::CommonName, "a server");
        let server = leaf.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap();
        judge(&[&ca], &server, "r.example").unwrap();
        judge(&[&server], &server, "r.example").unwrap();
        assert!(judge(&[&server], &ca, "r.example").is_err());
        assert!(judge(&[&self_signed(CA, (2020, 2040))], &server, "r.example").is_err());
    }
}
