//! A password as Postgres keeps it (SCRAM-SHA-256, RFC 5803), made here: so
//! neither the statement that sets it nor a server that logs statements shows
//! it.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

/// As many as Postgres itself takes.
const ITERATIONS: u32 = 4_096;

/// `SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>` of a password
/// in ASCII.
pub(super) fn verifier(password: &str, salt: [u8; 16]) -> String {
    let salted = salted_password(password.as_bytes(), &salt, ITERATIONS);
    let stored_key: [u8; 32] = Sha256::digest(hmac(&salted, b"Client Key")).into();
    let server_key = hmac(&salted, b"Server Key");
    let text = |bytes: &[u8]| BASE64_STANDARD.encode(bytes);
    format!(
        "SCRAM-SHA-256${ITERATIONS}:{}${}:{}",
        text(&salt),
        text(&stored_key),
        text(&server_key)
    )
}

/// `Hi` of RFC 5802 §2.2: PBKDF2 with one block.
fn salted_password(password: &[u8], salt: &[u8], iterations: u32) -> [u8; 32] {
    let mut round = hmac(password, &[salt, &1u32.to_be_bytes()].concat());
    let mut sum = round;
    for _ in 1..iterations {
        round = hmac(password, &round);
        sum.iter_mut().zip(round).for_each(|(sum, byte)| *sum ^= byte);
    }
    sum
}

/// HMAC-SHA-256, RFC 2104.
fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0; 64];
    let hashed: [u8; 32] = Sha256::digest(key).into();
    let key = if key.len() > block.len() { hashed.as_slice() } else { key };
    block.iter_mut().zip(key).for_each(|(byte, key)| *byte = *key);
    let inner = Sha256::new().chain_update(block.map(|b| b ^ 0x36)).chain_update(message);
    let outer = Sha256::new().chain_update(block.map(|b| b ^ 0x5c));
    outer.chain_update(inner.finalize()).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_rfc_4231_and_rfc_7677() {
        // RFC 4231 §4.2 and §4.7 (a key longer than a block).
        let tag = hmac(&[0x0b; 20], b"Hi There");
        assert_eq!(hex::encode(&tag[..8]), "b0344c61d8db3853");
        let tag = hmac(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First");
        assert_eq!(hex::encode(&tag[..8]), "60e431591ee0b67f");
        // RFC 7677 §3: the proof of user "user" with password "pencil".
        let salt = BASE64_STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let salted = salted_password(b"pencil", &salt, 4_096);
        let client_key = hmac(&salted, b"Client Key");
        let message = "n=user,r=rOprNGfwEbeRWgbNEkqO,\
             r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,\
             i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let signature = hmac(&Sha256::digest(client_key), message.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(signature).map(|(a, b)| a ^ b).collect();
        assert_eq!(BASE64_STANDARD.encode(proof), "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
    }
}
