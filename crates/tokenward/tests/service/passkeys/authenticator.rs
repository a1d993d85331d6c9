//! An authenticator of our own, which also does what no honest one would: another host, another counter, nobody verified.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use rustls::SignatureScheme;
use rustls::crypto::aws_lc_rs::sign::any_ecdsa_type;
use rustls::pki_types::PrivatePkcs8KeyDer;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A key for tests (P-256, PKCS#8), and its public point, which stands at its end.
const KEY: &str = "308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b0201010420929c2b3098f74ec0b4d26de261d0c7dba5190063a614\
     91f58728093e0994cea6a144034200044791db7cbb7f4f46874db45bdd89377d9fb307a0255f02b50c98055436633249b6dcf5d67b344df152156b583a\
     e99fe2eb84be5989294582a7c20b0f1af3209a";

const USER_PRESENT: u8 = 1;
const USER_VERIFIED: u8 = 4;
const HAS_CREDENTIAL: u8 = 64;

/// A device with one passkey.
#[derive(Clone)]
pub struct Authenticator {
    pub rp_id: String,
    pub origin: String,
    pub id: Vec<u8>,
    /// What it calls the account.
    pub handle: Option<Vec<u8>>,
    /// How often it says to have been used; 0 is never counted on.
    pub counter: u32,
    /// Does it ask who uses it?
    pub verifies: bool,
}

impl Authenticator {
    /// One whose passkey has this id.
    pub fn new(id: u8) -> Self {
        Self {
            rp_id: "localhost".into(),
            origin: super::URL.into(),
            id: vec![id; 32],
            handle: None,
            counter: 0,
            verifies: true,
        }
    }

    /// Makes the passkey that the options ask for.
    pub fn make(&mut self, options: &Value) -> Value {
        self.handle = Some(BASE64.decode(options["publicKey"]["user"]["id"].as_str().unwrap()).unwrap());
        let key = hex::decode(KEY).unwrap();
        let (x, y) = key[key.len() - 64..].split_at(32);
        let mut data = self.data(HAS_CREDENTIAL);
        data.extend([0; 16]);
        data.extend(u16::try_from(self.id.len()).unwrap().to_be_bytes());
        data.extend(&self.id);
        // COSE (RFC 9053): {1: 2, 3: -7, -1: 1, -2: x, -3: y}.
        data.extend([0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32]);
        data.extend(x);
        data.extend([0x22, 0x58, 32]);
        data.extend(y);
        // CBOR: {"fmt": "none", "attStmt": {}, "authData": data}.
        let mut object = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x59".to_vec();
        object.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        object.extend(data);
        self.counter += u32::from(self.counter > 0);
        let response = json!({
            "attestationObject": BASE64.encode(object),
            "clientDataJSON": BASE64.encode(self.client_data("webauthn.create", options)),
        });
        self.credential(response)
    }

    /// Signs what the options ask.
    pub fn sign(&mut self, options: &Value) -> Value {
        let (data, client_data) = (self.data(0), self.client_data("webauthn.get", options));
        self.counter += u32::from(self.counter > 0);
        let message = [&data[..], &Sha256::digest(&client_data)].concat();
        let key = any_ecdsa_type(&PrivatePkcs8KeyDer::from(hex::decode(KEY).unwrap()).into()).unwrap();
        let signer = key.choose_scheme(&[SignatureScheme::ECDSA_NISTP256_SHA256]).unwrap();
        let response = json!({
            "authenticatorData": BASE64.encode(data),
            "clientDataJSON": BASE64.encode(client_data),
            "signature": BASE64.encode(signer.sign(&message).unwrap()),
            "userHandle": self.handle.as_ref().map(|handle| BASE64.encode(handle)),
        });
        self.credential(response)
    }

    fn credential(&self, response: Value) -> Value {
        let id = BASE64.encode(&self.id);
        json!({ "id": id, "rawId": id, "type": "public-key", "response": response })
    }

    fn data(&self, flags: u8) -> Vec<u8> {
        let flags = flags | USER_PRESENT | if self.verifies { USER_VERIFIED } else { 0 };
        [&Sha256::digest(self.rp_id.as_bytes())[..], &[flags], &self.counter.to_be_bytes()].concat()
    }

    fn client_data(&self, what: &str, options: &Value) -> Vec<u8> {
        let said = json!({ "type": what, "challenge": options["publicKey"]["challenge"], "origin": self.origin });
        said.to_string().into_bytes()
    }
}
