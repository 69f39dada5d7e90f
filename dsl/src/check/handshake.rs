//! `tls file …`, `tls min …`, `tls max …` and `client cert …`: what a site says of its handshakes.

use super::pools::secret;
use super::route::ScopeAcc;
use super::site::SiteBuild;
use super::tls::name;
use super::{Checker, Env};
use crate::lint;
use crate::syntax::ast::{Expr, Word};
use crate::syntax::span::{Loc, Spanned};
use crate::tree::ir::{CertFile, ClientCert, HostPattern, KeyFrom, Tls, TlsVersions};
use std::sync::Arc;

/// What a chain and a key are written like.
const FILE: &str = "a certificate and its key, as in `tls file \"cert.pem\" key \"key.pem\"`, or `key secret.NAME`";

/// What `client` is written like.
const CLIENT: &str = "authorities in a file, as in `client cert from \"pki/clients.pem\"`, or `client cert optional from …`; behind it `crl \"pki/crl.pem\"`";

impl<'a> Checker<'a> {
    /// `tls file "cert.pem" key "key.pem"`, `… key secret.x`; several in a site.
    pub(super) fn tls_file(
        &mut self,
        b: &mut SiteBuild,
        acc: &mut ScopeAcc<'a>,
        words: &[Spanned<Word>],
        env: &Env,
        loc: Loc,
    ) {
        let [_, cert, word, key] = words else {
            return self.report(lint::g1024::shape(loc, "tls file", FILE));
        };
        if name(word).as_deref() != Some("key") {
            return self.report(lint::g1024::shape(loc, "tls file", FILE));
        }
        if b.settings.tls != Tls::File && !self.once_per_scope(acc, "tls", loc) {
            return;
        }
        b.settings.tls = Tls::File;
        let cert = self.file_name("tls file", loc, Some(cert), env);
        let key = match secret(&key.node) {
            Some(name) => Some(KeyFrom::Secret(name)),
            None => self.file_name("key", loc, Some(key), env).map(KeyFrom::File),
        };
        if let (Some(cert), Some(key)) = (cert, key) {
            let files = &mut b.settings.handshake.files;
            if let Some(first) = files.iter().find(|file| file.cert == cert) {
                let first = first.loc;
                return self.report(lint::g1023::twice(loc, "tls file", first));
            }
            files.push(CertFile { cert, key, loc });
        }
    }

    /// `tls min 1.3`, `tls max 1.2`
    pub(super) fn tls_version(
        &mut self,
        b: &mut SiteBuild,
        acc: &mut ScopeAcc<'a>,
        word: &str,
        words: &[Spanned<Word>],
        env: &Env,
        loc: Loc,
    ) {
        let setting = format!("tls {word}");
        if !self.once_per_scope(acc, &setting, loc) {
            return;
        }
        let [_, Spanned { node: Word::Value(Expr::Number(version)), span }] = words else {
            return self.report(lint::g1024::one_of(loc, &setting, &["1.2", "1.3"], None));
        };
        let at = self.at(env, *span);
        let narrowed = match (word, version.as_str()) {
            ("min", "1.2") | ("max", "1.3") => return,
            ("min", "1.3") => TlsVersions::Only13,
            ("max", "1.2") => TlsVersions::Only12,
            _ => {
                let weak = lint::g4005::version(at, version);
                return self.report(weak.unwrap_or_else(|| lint::g1024::one_of(at, &setting, &["1.2", "1.3"], None)));
            }
        };
        let versions = &mut b.settings.handshake.versions;
        if *versions == TlsVersions::Both {
            *versions = narrowed;
        } else {
            self.report(lint::g1024::range(loc, "no version is both at least 1.3 and at most 1.2"));
        }
    }

    /// `client cert [optional] from "pki/clients.pem" [crl "pki/crl.pem"]`
    pub(super) fn client_cert(&mut self, b: &mut SiteBuild, words: &[Spanned<Word>], env: &Env, loc: Loc) {
        let bare: Vec<Option<String>> = words.iter().map(name).collect();
        let bare: Vec<Option<&str>> = bare.iter().map(Option::as_deref).collect();
        let (optional, from, crl) = match (bare.as_slice(), words) {
            ([Some("cert"), Some("from"), _], [.., from]) => (false, from, None),
            ([Some("cert"), Some("from"), _, Some("crl"), _], [.., from, _, crl]) => (false, from, Some(crl)),
            ([Some("cert"), Some("optional"), Some("from"), _], [.., from]) => (true, from, None),
            ([Some("cert"), Some("optional"), Some("from"), _, Some("crl"), _], [.., from, _, crl]) => {
                (true, from, Some(crl))
            }
            _ => return self.report(lint::g1024::shape(loc, "client", CLIENT)),
        };
        let from = self.file_name("from", loc, Some(from), env);
        let crl = match crl {
            Some(crl) => match self.file_name("crl", loc, Some(crl), env) {
                Some(crl) => Some(crl),
                None => return,
            },
            None => None,
        };
        if let Some(from) = from {
            // Whose it is follows from the hosts.
            let site = Arc::default();
            b.settings.handshake.client = Some(Arc::new(ClientCert { from, crl, optional, site, loc }));
        }
    }

    /// What stands together in a site and cannot.
    pub(super) fn handshake_holds(&mut self, b: &SiteBuild, head: Loc) {
        let handshake = &b.settings.handshake;
        let off = b.settings.tls == Tls::Off;
        if off && handshake.versions != TlsVersions::Both {
            self.report(lint::g1024::range(head, "this site says `tls off`: there is no version of TLS to narrow"));
        }
        let Some(client) = &handshake.client else { return };
        if off {
            let why = "a client shows its certificate in the handshake, and this site says `tls off`";
            self.report(lint::g1024::range(client.loc, why));
        } else if b.settings.http_allowed && !client.optional {
            let why = "who comes in the clear shows no certificate: leave `http allowed` out, or write `client cert optional from …` and `require tls.cert` where it counts";
            self.report(lint::g1024::range(client.loc, why));
        }
    }

    /// Whose handshakes these are: part of a boundary.
    pub(super) fn handshake_of(&self, b: &mut SiteBuild, first: &HostPattern) {
        let handshake = &mut b.settings.handshake;
        handshake.tenant = self.modules.tenancy().map(|tenancy| Arc::clone(&tenancy.tenant.name));
        if let Some(client) = &mut handshake.client {
            Arc::make_mut(client).site = first.to_string().into();
        }
    }
}
