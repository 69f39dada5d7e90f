//! A site: its hosts, its settings, and what the lints want to know beside the IR.

use super::pattern::Host;
use super::route::{Chain, Frame, ScopeAcc};
use super::{Checker, Env, LocalKind, Outcome};
use crate::lint;
use crate::resolve::ModIdx;
use crate::syntax::ast;
use crate::syntax::span::Loc;
use crate::tree::ir::{
    self, Answer, Capture, Cond, Field, PathPattern, Paths, Plan, PlanIdx, Pool, PoolIdx, Scope, ScopeIdx,
    SiteSettings, Target, Tls, Walls,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What the lints want to know about a site, beside its IR.
#[derive(Clone, Debug, Default)]
pub(crate) struct SiteInfo {
    /// By scope.
    pub(crate) scopes: Vec<ScopeInfo>,
    /// Plans whose answer was reported as broken: nothing is said of where they lead.
    pub(crate) broken: BTreeSet<u32>,
    /// Routes were left out because their pattern was reported.
    pub(crate) dropped: bool,
    /// What protects the requests of a plan, outer first.
    pub(crate) protectors: Vec<Vec<Protector>>,
    /// Keys that are counted by.
    pub(crate) keys: Vec<KeyUse>,
    /// Plans whose retry sends again what is not idempotent: the retry, and after what it does.
    pub(crate) twice: Vec<(PlanIdx, Loc, String)>,
}

/// What the lints want to know about a scope.
#[derive(Clone, Debug)]
pub(crate) struct ScopeInfo {
    /// What stands in the block itself and protects it.
    pub(crate) protectors: Vec<Protector>,
    /// The block with its braces.
    pub(crate) block: Loc,
    /// By entry: the whole statement, and its patterns as written (`None` for pathless forms).
    pub(crate) entries: Vec<EntryInfo>,
}

/// What the lints want to know about an entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EntryInfo {
    /// The whole statement.
    pub(crate) stmt: Loc,
    /// The pattern as written.
    pub(crate) pattern: Option<Loc>,
    /// What stands behind the arrow, or the block.
    pub(crate) body: Loc,
    /// Whether it is written with `without`.
    pub(crate) without: bool,
}

/// A statement that keeps requests out, or takes something away from them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Protector {
    /// How it is called: the policy as used, or the statement's first word.
    pub(crate) name: String,
    /// The use, or the statement.
    pub(crate) loc: Loc,
    /// Equal for protectors that do the same.
    pub(crate) key: String,
    /// Whether `without` can name it.
    pub(crate) used: bool,
}

/// A key that something is counted by.
#[derive(Clone, Debug)]
pub(crate) struct KeyUse {
    /// The fields it is made of.
    pub(crate) fields: Vec<Field>,
    /// The key.
    pub(crate) loc: Loc,
}

/// A site under construction.
#[derive(Debug)]
pub(super) struct SiteBuild {
    pub(super) scopes: Vec<Scope>,
    pub(super) plans: Vec<Plan>,
    pub(super) pools: Vec<Arc<Pool>>,
    /// `tls on-demand`
    pub(super) on_demand: Option<Arc<crate::tree::ir::OnDemand>>,
    /// `tls auto via dns(…)`
    pub(super) via: Option<crate::tree::ir::Via>,
    index: BTreeMap<(ModIdx, usize), PoolIdx>,
    /// By pool: where it is declared, and where it is used first.
    pub(super) used: Vec<((ModIdx, usize), Loc)>,
    pub(super) settings: SiteSettings,
    pub(super) semicolon: bool,
    /// `paths raw`
    pub(super) raw: Option<Loc>,
    pub(super) info: SiteInfo,
    /// The `use`s, by number: as written, and the frame they stand in.
    pub(super) uses: Vec<(String, u32)>,
    pub(super) frames: u32,
    /// The `use`s that routes leave out, and those routes.
    pub(super) withouts: Vec<(Vec<usize>, Loc)>,
    /// Names the site in salts.
    pub(super) salt: u64,
}

impl SiteBuild {
    pub(super) fn new(salt: u64) -> Self {
        Self {
            scopes: Vec::new(),
            plans: Vec::new(),
            pools: Vec::new(),
            on_demand: None,
            via: None,
            index: BTreeMap::new(),
            used: Vec::new(),
            settings: SiteSettings {
                tls: Tls::Auto,
                http_allowed: false,
                default: false,
                paths: Paths::Canonical,
                semicolon: false,
                walls: Walls::default(),
                handshake: crate::tree::ir::Handshake::default(),
            },
            semicolon: false,
            raw: None,
            info: SiteInfo::default(),
            uses: Vec::new(),
            frames: 0,
            withouts: Vec::new(),
            salt,
        }
    }

    /// Whether a pool was named before.
    pub(super) fn uses_pool(&self, at: (ModIdx, usize)) -> bool {
        self.index.contains_key(&at)
    }

    pub(super) fn pool(&mut self, at: (ModIdx, usize), pool: Arc<Pool>, loc: Loc) -> PoolIdx {
        *self.index.entry(at).or_insert_with(|| {
            let index = PoolIdx(u32::try_from(self.pools.len()).unwrap_or(u32::MAX));
            self.pools.push(pool);
            self.used.push((at, loc));
            index
        })
    }

    pub(super) fn plan(&mut self, plan: Plan, protectors: Vec<Protector>, broken: bool) -> PlanIdx {
        let index = u32::try_from(self.plans.len()).unwrap_or(u32::MAX);
        self.plans.push(plan);
        self.info.protectors.push(protectors);
        if broken {
            self.info.broken.insert(index);
        }
        PlanIdx(index)
    }

    /// Makes room for a scope, whose entries come later.
    pub(super) fn scope(&mut self, pattern: PathPattern, loc: Loc, info: ScopeInfo) -> ScopeIdx {
        let index = ScopeIdx(u32::try_from(self.scopes.len()).unwrap_or(u32::MAX));
        self.scopes.push(Scope { pattern, entries: Vec::new(), miss: PlanIdx(0), protected: false, loc });
        self.info.scopes.push(info);
        index
    }
}

impl<'a> Checker<'a> {
    /// Checks a site and lowers it: once for each layout of captures in its hosts.
    pub(super) fn site(&mut self, site: &'a ast::Site, loc: Loc, out: &mut Outcome) {
        let mut hosts: Vec<(Host, Loc)> = Vec::new();
        let mut broken = false;
        for host in &site.hosts {
            let at = self.loc(0, host.span);
            match self.host_pattern(0, host).inspect(|made| self.saw_host(self.loc(0, host.span), &made.pattern)) {
                Some(h) => {
                    out.claims.push((h.pattern.clone(), at));
                    if let Some((_, first)) = hosts.iter().find(|(o, _)| o.pattern == h.pattern) {
                        let first = *first;
                        self.report(crate::lint::g2007::twice(at, &crate::lint::show::host(&h.pattern), first));
                        continue;
                    }
                    hosts.push((h, at));
                }
                None => broken = true,
            }
        }
        let head = site.hosts.last().map_or(loc, |h| Loc { span: super::SpanExt::start_to(loc.span, h.span), ..loc });
        // Hosts whose captures stand at other bytes need trees of their own.
        type Layout = BTreeMap<String, (u32, u32)>;
        let mut groups: Vec<(Layout, Vec<(Host, Loc)>)> = Vec::new();
        for (host, at) in hosts {
            let layout: Layout = host
                .captures
                .iter()
                .filter_map(|c| match c.capture {
                    Capture::Host { prefix, suffix } => Some((c.name.node.clone(), (prefix, suffix))),
                    Capture::Segment { .. } | Capture::Splat { .. } => None,
                })
                .collect();
            match groups.iter_mut().find(|(l, _)| *l == layout) {
                Some((_, group)) => group.push((host, at)),
                None => groups.push((layout, vec![(host, at)])),
            }
        }
        let all: Vec<Vec<super::pattern::Bound>> =
            groups.iter().flat_map(|(_, g)| g.iter().map(|(h, _)| h.captures.clone())).collect();
        if groups.is_empty() {
            // The block is checked even when none of its hosts can be read.
            let mut b = SiteBuild::new(0);
            self.site_body(&mut b, site, head, Env::top(0));
            return;
        }
        for (_, group) in groups {
            let mut env = Env::top(0);
            self.bind_captures(&mut env, &group[0].0.captures, &all);
            let salt = group.iter().fold(0, |s, (h, _)| s ^ salt(&crate::lint::show::host(&h.pattern)));
            let mut b = SiteBuild::new(salt);
            self.site_body(&mut b, site, head, env);
            self.handshake_of(&mut b, &group[0].0.pattern);
            if let Some(raw) = b.raw {
                lint::g3002::run(&b.scopes, &b.plans, &b.info, raw).into_iter().for_each(|d| self.report(d));
            }
            b.settings.semicolon = b.semicolon || !path_scoped_policy(&b);
            b.settings.walls = walls(&b);
            let (calls, providers) = self.end_calls(&mut b);
            let made = ir::Site {
                hosts: group.into_iter().map(|(h, at)| (h.pattern, at)).collect(),
                scopes: b.scopes,
                plans: b.plans,
                pools: b.pools,
                calls,
                providers,
                on_demand: b.on_demand,
                via: b.via,
                settings: b.settings,
                loc: head,
            };
            lint::inspected::run(&made).into_iter().for_each(|d| self.report(d));
            b.info.dropped |= broken;
            out.sites.push((Arc::new(made), b.info));
        }
    }

    fn site_body(&mut self, b: &mut SiteBuild, site: &'a ast::Site, head: Loc, env: Env) {
        self.begin_calls();
        self.raw_paths = says_raw(&site.body);
        let frame = Frame::new(env, Cond::Const(true));
        let pattern = PathPattern { segments: Vec::new(), splat: true };
        let block = self.loc(0, site.body.span);
        let mut acc = ScopeAcc::new(pattern, true);
        let mut chain = Chain::default();
        self.mandated(b, &mut chain, &mut acc);
        self.block(b, &site.body, &chain, &frame, &mut acc, head, block, None);
        self.raw_paths = false;
        self.handshake_holds(b, head);
        if b.settings.tls != Tls::Off {
            let used = b.pools.iter().zip(&b.used);
            let found: Vec<_> = used.filter_map(|(pool, (_, loc))| crate::lint::g4011::run(pool, *loc)).collect();
            found.into_iter().for_each(|d| self.report(d));
        }
    }

    /// Makes captures visible: what another pattern of the same place lacks is `T?` (LANGUAGE rule 12).
    pub(super) fn bind_captures(
        &mut self,
        env: &mut Env,
        own: &[super::pattern::Bound],
        all: &[Vec<super::pattern::Bound>],
    ) {
        let mut names: Vec<&super::pattern::Bound> = Vec::new();
        for bound in all.iter().flatten() {
            if !names.iter().any(|n| n.name.node == bound.name.node) {
                names.push(bound);
            }
        }
        for first in names {
            let name = &first.name;
            let same = |b: &&super::pattern::Bound| b.name.node == name.node;
            let everywhere = all.iter().all(|p| p.iter().any(|b| same(&b)));
            let mut types = all.iter().flatten().filter(same).map(|b| b.ty.clone());
            let ty = match types.next() {
                Some(ty) if types.all(|t| t == ty) => ty,
                _ => super::ty::Ty::Text,
            };
            let (val, at) = match own.iter().find(same) {
                Some(b) => (b.val(!everywhere, &ty), &b.name),
                None => (super::val::Val::Absent(ty), name),
            };
            // The same capture, written again by a nested absolute pattern.
            if let (Some(outer), super::val::Val::Field { field, .. }) = (env.local(&name.node), &val)
                && matches!(&outer.val, super::val::Val::Field { field: f, .. } if f == field)
            {
                continue;
            }
            self.bind(env, at, val, LocalKind::Capture);
        }
    }
}

/// Whether a site says `paths raw`, wherever it does: it holds for all of it.
fn says_raw(body: &ast::Block) -> bool {
    body.stmts.iter().any(|stmt| match &stmt.kind {
        ast::StmtKind::Setting { head, words, .. } => {
            head.node == "paths" && Checker::word_names(words).iter().any(|word| word == "raw")
        }
        _ => false,
    })
}

/// Whether a block inside the site has policies of its own: `;` then needs saying (LANGUAGE section 4).
fn path_scoped_policy(b: &SiteBuild) -> bool {
    let outer = b.plans.get(b.scopes.first().map_or(0, |s| s.miss.0 as usize)).map_or(0, |p| p.steps.len());
    b.scopes.iter().zip(&b.info.scopes).skip(1).any(|(scope, info)| {
        let steps = b.plans.get(scope.miss.0 as usize).map_or(0, |p| p.steps.len());
        // A pathless block of the site hangs on no path.
        let everywhere = scope.pattern.segments.is_empty() && scope.pattern.splat;
        !everywhere && (!info.protectors.is_empty() || steps > outer)
    })
}

/// The paths that policies of their own hang on, beside those of the site; and those that are denied.
fn walls(b: &SiteBuild) -> Walls {
    let steps = |plan: PlanIdx| b.plans.get(plan.0 as usize).map_or(0, |plan| plan.steps.len());
    let outer = b.scopes.first().map_or(0, |scope| steps(scope.miss));
    let denied = |plan: PlanIdx| matches!(b.plans.get(plan.0 as usize), Some(Plan { answer: Answer::Deny { .. }, .. }));
    let scopes = b.scopes.iter().zip(&b.info.scopes).skip(1);
    let scopes = scopes.filter(|(scope, info)| !info.protectors.is_empty() || steps(scope.miss) > outer);
    let scopes = scopes.map(|(scope, _)| &scope.pattern);
    let entries = b.scopes.iter().flat_map(|scope| &scope.entries);
    let entries = entries.filter(|entry| matches!(entry.target, Target::Plan(plan) if denied(plan)));
    let mut walls = Walls::default();
    for pattern in scopes.chain(entries.map(|entry| &entry.pattern)) {
        // A pathless one hangs on no path.
        let everywhere = pattern.segments.is_empty() && pattern.splat;
        if !everywhere {
            walls.add(pattern);
        }
    }
    walls
}

/// FNV-1a: the same for ever, on every machine.
pub(crate) fn salt(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

/// The plan of a scope that nothing answers.
pub(super) fn nothing() -> Answer {
    Answer::NotFound
}
