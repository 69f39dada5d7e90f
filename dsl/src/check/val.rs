//! Values: what an expression stands for once names are resolved and `let`s are inlined.

use super::ty::Ty;
use crate::resolve::ModIdx;
use crate::syntax::span::Loc;
use crate::tree::ir::{Cond, Field, IpNet, Transform};
use std::net::IpAddr;
use std::sync::Arc;

/// A value, or what it will be made of when a request arrives.
#[derive(Clone, Debug)]
pub(crate) enum Val {
    /// A constant text.
    Text(Arc<str>),
    /// A constant path.
    Path(Arc<str>),
    /// A constant host.
    Host(Arc<str>),
    /// A constant URL.
    Url(Arc<str>),
    /// A number.
    Int(i64),
    /// Milliseconds.
    Duration(u64),
    /// Bytes.
    Size(u64),
    /// `100/s`
    Rate {
        /// How many; bytes where it counts those.
        count: u64,
        /// In how many seconds.
        seconds: u64,
        /// Whether it counts bytes.
        bytes: bool,
    },
    /// `5%`, in hundredths of a percent.
    Percent(u32),
    /// An address.
    Ip(IpAddr),
    /// A network.
    Cidr(IpNet),
    /// A method.
    Method(Arc<str>),
    /// `200..299`
    Range(i64, i64),
    /// A list.
    List(Vec<(Val, Loc)>),
    /// A part of the request.
    Field {
        /// Which.
        field: Field,
        /// Its type.
        ty: Ty,
        /// Whether it may be missing.
        optional: bool,
        /// The functions around it.
        with: With,
    },
    /// A capture that the pattern at hand does not have, while another pattern of the route has it.
    Absent(Ty),
    /// Text with holes.
    Template(Ty, Vec<TplPart>),
    /// A condition.
    Cond(Cond),
    /// `secret.NAME`: its name, never what it is.
    Secret(Arc<str>),
    /// A file, by the module that names it, and where.
    File(ModIdx, Arc<str>, Loc),
    /// A pool: its module and item.
    Pool(ModIdx, usize),
    /// A table: its module and item.
    Table(ModIdx, usize),
    /// A provider: its module and item.
    Provider(ModIdx, usize),
    /// Of a known type, but nothing is known of its content: a parameter of a policy that is checked
    /// by itself, or something that this version does not support.
    Opaque(Ty, bool),
}

/// The functions that stand around a part of the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct With {
    /// `lower(…)`
    pub(crate) lower: bool,
    /// `hash(…)`, around `lower(…)` where both stand.
    pub(crate) hash: bool,
    /// `local-path(…)`
    pub(crate) local: bool,
}

impl With {
    /// Whether none does.
    pub(crate) fn nothing(self) -> bool {
        self == Self::default()
    }

    /// What they make of the text.
    pub(crate) fn transform(self) -> Transform {
        match (self.hash, self.lower) {
            (false, false) => Transform::None,
            (false, true) => Transform::Lower,
            (true, false) => Transform::Hash,
            (true, true) => Transform::LowerHash,
        }
    }
}

/// A part of a [`Val::Template`].
#[derive(Clone, Debug)]
pub(crate) enum TplPart {
    /// Literal text.
    Text(String),
    /// A value, never one with parts of its own.
    Hole(Box<Val>, Loc),
}

impl Val {
    /// What stands in for something that was reported.
    pub(crate) fn unknown() -> Self {
        Self::Opaque(Ty::Unknown, false)
    }

    /// Its type, and whether it may be missing.
    pub(crate) fn ty(&self) -> (Ty, bool) {
        match self {
            Self::Text(_) => (Ty::Text, false),
            Self::Path(_) => (Ty::Path, false),
            Self::Host(_) => (Ty::Host, false),
            Self::Url(_) => (Ty::Url, false),
            Self::Int(_) => (Ty::Int, false),
            Self::Duration(_) => (Ty::Duration, false),
            Self::Size(_) => (Ty::Size, false),
            Self::Rate { .. } => (Ty::Rate, false),
            Self::Percent(_) => (Ty::Percent, false),
            Self::Ip(_) => (Ty::Ip, false),
            Self::Cidr(_) => (Ty::Cidr, false),
            Self::Method(_) => (Ty::Method, false),
            Self::Range(..) => (Ty::List(Box::new(Ty::Status)), false),
            Self::List(items) => {
                let mut inner = Ty::Unknown;
                for (item, _) in items {
                    let (ty, _) = item.ty();
                    inner = match (inner, ty) {
                        (Ty::Unknown, ty) | (ty, Ty::Unknown) => ty,
                        // A list of networks may hold single addresses.
                        (Ty::Ip, Ty::Cidr) | (Ty::Cidr, Ty::Ip) => Ty::Cidr,
                        (a, _) => a,
                    };
                }
                (Ty::List(Box::new(inner)), false)
            }
            Self::Field { ty, optional, .. } => (ty.clone(), *optional),
            Self::Absent(ty) => (ty.clone(), true),
            Self::Template(ty, parts) => {
                (ty.clone(), parts.iter().any(|p| matches!(p, TplPart::Hole(v, _) if v.ty().1)))
            }
            Self::Cond(_) => (Ty::Bool, false),
            Self::Secret(_) => (Ty::Secret, false),
            Self::File(..) => (Ty::File, false),
            Self::Pool(..) => (Ty::Pool, false),
            Self::Table(..) => (Ty::Table, false),
            Self::Provider(..) => (Ty::Provider, false),
            Self::Opaque(ty, optional) => (ty.clone(), *optional),
        }
    }

    /// The text of a constant that is one.
    pub(crate) fn as_text(&self) -> Option<Arc<str>> {
        match self {
            Self::Text(t) | Self::Path(t) | Self::Host(t) | Self::Url(t) | Self::Method(t) => Some(Arc::clone(t)),
            Self::Int(n) => Some(n.to_string().into()),
            Self::Ip(ip) => Some(ip.to_string().into()),
            Self::Duration(_)
            | Self::Size(_)
            | Self::Rate { .. }
            | Self::Percent(_)
            | Self::Cidr(_)
            | Self::Range(..)
            | Self::List(_)
            | Self::Field { .. }
            | Self::Absent(_)
            | Self::Template(..)
            | Self::Cond(_)
            | Self::Secret(_)
            | Self::File(..)
            | Self::Pool(..)
            | Self::Table(..)
            | Self::Provider(..)
            | Self::Opaque(..) => None,
        }
    }

    /// Whether nothing more can be said about it without repeating an earlier finding.
    pub(crate) fn is_opaque(&self) -> bool {
        matches!(self, Self::Opaque(..))
    }
}
