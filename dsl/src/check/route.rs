//! Blocks: policies first, then routes; each route with the policies around it.

use super::cond::{and, headers_read, not, or};
use super::pattern::Path;
use super::site::{EntryInfo, Protector, ScopeInfo, SiteBuild, nothing, salt};
use super::val::Val;
use super::{Checker, Env, LocalKind};
use crate::lint;
use crate::resolve::ModIdx;
use crate::syntax::ast::{self, Action, Body, Expr, Name, Stmt, StmtKind};
use crate::syntax::span::{Loc, Span, Spanned};
use crate::tree::ir::{Answer, Catch, Cond, Entry, Field, PathPattern, Plan, Segment, Settings, Step, Target, Use};
use std::sync::Arc;

/// Something that a `use` put there: the numbers of the `use`s around it, outermost first.
#[derive(Clone, Debug)]
pub(super) struct Tagged<T> {
    pub(super) node: T,
    pub(super) tags: Vec<usize>,
}

/// What requests have passed when they come to a place.
#[derive(Clone, Debug, Default)]
pub(super) struct Chain {
    pub(super) steps: Vec<Tagged<Step>>,
    /// Innermost first.
    pub(super) catches: Vec<Tagged<Catch>>,
    pub(super) settings: Settings,
    /// Where those of the settings are said that are in force.
    pub(super) said: Vec<(String, Loc)>,
    pub(super) policies: Vec<Tagged<Use>>,
    pub(super) protectors: Vec<Tagged<Protector>>,
    /// Fields that are there, because a `require` or a guard asked for them.
    pub(super) known: Vec<Tagged<Field>>,
    /// Request headers that were set or removed, and where (LANGUAGE rule 17).
    pub(super) edited: Vec<(Arc<str>, Loc)>,
}

impl Chain {
    pub(super) fn known_fields(&self) -> Vec<Field> {
        self.known.iter().map(|k| k.node.clone()).collect()
    }

    /// Without what some `use`s put there.
    fn without(&self, gone: &[usize]) -> Self {
        fn keep<T: Clone>(all: &[Tagged<T>], gone: &[usize]) -> Vec<Tagged<T>> {
            all.iter().filter(|t| !t.tags.iter().any(|n| gone.contains(n))).cloned().collect()
        }
        if gone.is_empty() {
            return self.clone();
        }
        Self {
            steps: keep(&self.steps, gone),
            catches: keep(&self.catches, gone),
            settings: self.settings.clone(),
            said: self.said.clone(),
            policies: keep(&self.policies, gone),
            protectors: keep(&self.protectors, gone),
            known: keep(&self.known, gone),
            edited: self.edited.clone(),
        }
    }
}

/// How statements are read: by whose names, inside which policies.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) env: Env,
    /// Tells a policy's body from the block that uses it, for `without`.
    pub(super) id: u32,
    /// The `use`s around, outermost first.
    pub(super) tags: Vec<usize>,
    /// The name under which the outermost of them was used, and where.
    pub(super) used: Option<(String, Loc)>,
    /// `use … when cond`
    pub(super) when: Cond,
    /// The policies that are being inlined.
    pub(super) stack: Vec<(ModIdx, usize)>,
}

impl Frame {
    pub(super) fn new(env: Env, when: Cond) -> Self {
        Self { env, id: 0, tags: Vec::new(), used: None, when, stack: Vec::new() }
    }

    pub(super) fn when_is_true(&self) -> bool {
        self.when == Cond::Const(true)
    }
}

/// A route that waits until all policies of its block are known.
pub(super) struct Pending<'a> {
    stmt: &'a Stmt,
    frame: Frame,
}

/// A block while its statements are read.
pub(super) struct ScopeAcc<'a> {
    pub(super) pattern: PathPattern,
    pub(super) is_site: bool,
    pub(super) pending: Vec<Pending<'a>>,
    /// Settings seen, with their places.
    pub(super) settings: Vec<(String, Loc)>,
    /// What protects this block itself.
    pub(super) protectors: Vec<Protector>,
    pub(super) own_catches: Vec<Tagged<Catch>>,
}

impl<'a> ScopeAcc<'a> {
    pub(super) fn new(pattern: PathPattern, is_site: bool) -> Self {
        Self {
            pattern,
            is_site,
            pending: Vec::new(),
            settings: Vec::new(),
            protectors: Vec::new(),
            own_catches: Vec::new(),
        }
    }
}

/// What an answer may read.
pub(super) struct Scene<'e> {
    pub(super) env: &'e Env,
    pub(super) known: &'e [Field],
    /// Site and pattern.
    pub(super) salt: u64,
}

/// A route as one of its patterns makes it.
struct RouteAt<'r, 'a> {
    pattern: PathPattern,
    env: Env,
    guard: Cond,
    body: &'a Body,
    pathless: bool,
    stmt: Loc,
    written: Option<Loc>,
    without: &'r [usize],
    written_without: bool,
}

impl<'a> Checker<'a> {
    /// Lowers a block into a scope of its own.
    #[expect(clippy::too_many_arguments, reason = "a block, what stands around it, and its places")]
    pub(super) fn block(
        &mut self,
        b: &mut SiteBuild,
        block: &'a ast::Block,
        outer: &Chain,
        frame: &Frame,
        acc: &mut ScopeAcc<'a>,
        head: Loc,
        braces: Loc,
        entered: Option<&Cond>,
    ) -> crate::tree::ir::ScopeIdx {
        let info = ScopeInfo { protectors: Vec::new(), block: braces, entries: Vec::new() };
        let index = b.scope(acc.pattern.clone(), head, info);
        let mut chain = outer.clone();
        if let Some(guard) = entered {
            chain.known.extend(self.facts(guard).into_iter().map(|node| Tagged { node, tags: Vec::new() }));
        }
        if let Some(guard) = entered {
            self.copies_headers(&mut chain, guard, head);
        }
        let mut inner = frame.clone();
        self.statements(b, &block.stmts, &mut chain, &mut inner, acc);
        self.saw_block(braces, &inner.env);
        let mut catches = std::mem::take(&mut acc.own_catches);
        catches.append(&mut chain.catches);
        chain.catches = catches;
        let withouts = b.withouts.len();
        let pending = std::mem::take(&mut acc.pending);
        self.beside_longer_paths(&pending, &acc.pattern);
        self.bare_beside_routes(&pending);
        let at = index.0 as usize;
        for mut route in pending {
            // `let`s may stand anywhere in the block.
            if route.frame.id == inner.id {
                route.frame.env = inner.env.clone();
            }
            self.route(b, at, route, &chain, acc);
        }
        self.asks_beside_without(b, at, withouts, &chain);
        let miss = self.plan(b, &chain, &[], Some(nothing()), head);
        b.scopes[at].miss = miss;
        b.scopes[at].protected = !acc.protectors.is_empty();
        b.info.scopes[at].protectors = std::mem::take(&mut acc.protectors);
        index
    }

    /// Reads the statements of a block or of a policy used in it: policies are done, routes wait.
    pub(super) fn statements(
        &mut self,
        b: &mut SiteBuild,
        stmts: &'a [Stmt],
        chain: &mut Chain,
        frame: &mut Frame,
        acc: &mut ScopeAcc<'a>,
    ) {
        let mut first_route: Option<Span> = None;
        for stmt in stmts {
            let loc = self.at(&frame.env, stmt.span);
            let policy = match &stmt.kind {
                StmtKind::Use { .. } => Some("use"),
                StmtKind::Require { .. } => Some("require"),
                StmtKind::Limit(_) => Some("limit"),
                StmtKind::Header(_) => Some("header edit"),
                StmtKind::Catch { .. } => Some("catch"),
                StmtKind::Session { .. } => Some("session"),
                StmtKind::Let(_)
                | StmtKind::Tls { .. }
                | StmtKind::Route { .. }
                | StmtKind::When { .. }
                | StmtKind::Else(_)
                | StmtKind::Arrow(_)
                | StmtKind::Endpoint(_)
                | StmtKind::Row { .. }
                | StmtKind::Setting { .. } => None,
            };
            if let (Some(word), Some(first)) = (policy, first_route) {
                let text = if frame.env.module == 0 { self.text } else { "" };
                self.report(lint::g1020::below(loc, word, self.at(&frame.env, first), text));
            }
            match &stmt.kind {
                StmtKind::Let(l) => {
                    self.asked.known = chain.known_fields();
                    self.local_let(l, frame);
                }
                StmtKind::Use { policy, args, when } => {
                    self.use_policy(b, chain, frame, acc, policy, args.as_deref(), when.as_ref(), loc);
                }
                StmtKind::Require { cond, otherwise } => {
                    self.require(chain, frame, acc, b, cond, otherwise.as_ref(), loc);
                }
                StmtKind::Limit(limit) => self.limit(b, chain, frame, acc, limit, loc),
                StmtKind::Header(h) => self.header(chain, frame, acc, h, loc),
                StmtKind::Catch { statuses, body } => self.catch(b, chain, frame, acc, statuses, body, loc),
                StmtKind::Session { verb, args } => self.session(chain, frame, *verb, args, loc),
                StmtKind::Tls { words, body } => self.tls(b, frame, acc, words, body.as_ref(), loc),
                StmtKind::Setting { head, words, body: _ } => {
                    self.setting(b, chain, frame, acc, head, words, loc);
                }
                StmtKind::Route { .. } | StmtKind::When { .. } | StmtKind::Else(_) | StmtKind::Arrow(_) => {
                    first_route.get_or_insert(stmt.span);
                    acc.pending.push(Pending { stmt, frame: frame.clone() });
                }
                StmtKind::Endpoint(_) => self.report(lint::g1022::endpoint(loc)),
                StmtKind::Row { .. } => self.report(lint::g1022::row(loc)),
            }
        }
    }

    pub(super) fn local_let(&mut self, l: &'a ast::Let, frame: &mut Frame) {
        match &l.params {
            None => {
                let val = self.eval(&l.value, &frame.env, None);
                let mut env = std::mem::replace(&mut frame.env, Env::top(0));
                self.bind(&mut env, &l.name, val, LocalKind::Let);
                frame.env = env;
            }
            Some(params) => {
                let loc = self.at(&frame.env, l.name.span);
                self.check_free(&frame.env, &l.name.node, loc);
                let mut env = frame.env.clone();
                self.bind_untyped(params, &mut env);
                self.calls.push(loc);
                self.eval(&l.value, &env, None);
                self.calls.pop();
                frame.env.functions.push((l.clone(), loc));
            }
        }
    }

    /// One plan: what a request passes, and what answers it.
    pub(super) fn plan(
        &mut self,
        b: &mut SiteBuild,
        chain: &Chain,
        gone: &[usize],
        answer: Option<Answer>,
        loc: Loc,
    ) -> crate::tree::ir::PlanIdx {
        let chain = chain.without(gone);
        let tries = answer.as_ref().map(|answer| self.tries(b, &chain, answer)).unwrap_or_default();
        let broken = answer.is_none();
        let policies = chain.policies.iter().map(|used| {
            let own = used.tags.last();
            let first = chain.steps.iter().position(|step| own.is_some_and(|own| step.tags.contains(own)));
            let last = chain.steps.iter().rposition(|step| own.is_some_and(|own| step.tags.contains(own)));
            Use { from: first.unwrap_or(0), through: last.map_or(0, |last| last + 1), ..used.node.clone() }
        });
        let plan = Plan {
            policies: policies.collect(),
            steps: chain.steps.into_iter().map(|s| s.node).collect(),
            answer: answer.unwrap_or_else(nothing),
            catches: chain.catches.into_iter().map(|c| c.node).collect(),
            settings: chain.settings,
            loc,
        };
        let index = b.plan(plan, chain.protectors.into_iter().map(|p| p.node).collect(), broken);
        b.info.twice.extend(tries.into_iter().map(|(retry, cause)| (index, retry, cause)));
        index
    }

    /// A condition of a route or a policy: what it reads must not have been edited before (rule 17).
    pub(super) fn guard(&mut self, e: &Spanned<Expr>, chain: &Chain, env: &Env) -> Cond {
        self.asked.known = chain.known_fields();
        let cond = self.cond(e, env);
        let mut read = Vec::new();
        headers_read(&cond, &mut read);
        for name in read {
            if let Some((_, edit)) = chain.edited.iter().find(|(n, _)| *n == name) {
                let d = lint::g1025::edited(self.at(env, e.span), &name, *edit);
                self.report(d);
            }
        }
        cond
    }

    fn route(&mut self, b: &mut SiteBuild, scope: usize, route: Pending<'a>, chain: &Chain, acc: &ScopeAcc<'a>) {
        let Pending { stmt, frame } = route;
        let loc = self.at(&frame.env, stmt.span);
        let in_policy = !frame.tags.is_empty();
        match &stmt.kind {
            StmtKind::Route { patterns, without, when, body } => {
                let gone = self.removed(b, chain, &frame, without, patterns);
                if !gone.is_empty() {
                    b.withouts.push((gone.clone(), loc));
                }
                let mut made: Vec<(Path, Loc)> = Vec::new();
                for pattern in patterns {
                    let at = self.at(&frame.env, pattern.span);
                    let paths = b.settings.paths;
                    let made_path = self.path_pattern(frame.env.module, pattern, &acc.pattern, paths);
                    if let Some(path) = &made_path {
                        self.saw_path(at, &path.pattern);
                    }
                    match made_path {
                        Some(path) if lies_inside(&path.pattern, &acc.pattern) => made.push((path, at)),
                        Some(_) => {
                            b.info.dropped = true;
                            let base = lint::show::path(&acc.pattern);
                            self.report(lint::g2020::outside(at, &base, pattern.node.relative));
                        }
                        None => b.info.dropped = true,
                    }
                }
                let all: Vec<_> = made.iter().map(|(p, _)| p.captures.clone()).collect();
                for (path, written) in &made {
                    let mut env = frame.env.clone();
                    self.bind_captures(&mut env, &path.captures, &all);
                    let guard = match when {
                        Some(when) => self.guard(when, chain, &env),
                        None => Cond::Const(true),
                    };
                    let guard = and(vec![frame.when.clone(), guard]);
                    let at = RouteAt {
                        pattern: path.pattern.clone(),
                        env,
                        guard,
                        body,
                        pathless: false,
                        stmt: loc,
                        written: Some(*written),
                        without: &gone,
                        written_without: !without.is_empty(),
                    };
                    self.entry(b, scope, at, &frame, chain);
                }
            }
            StmtKind::When { cond, body } => {
                let guard = self.guard(cond, chain, &frame.env);
                let guard = and(vec![frame.when.clone(), guard]);
                self.pathless(b, scope, guard, body, loc, &frame, chain, acc);
            }
            StmtKind::Else(body) => {
                if in_policy {
                    self.report(lint::g2023::pathless(loc, "else"));
                    return;
                }
                self.pathless(b, scope, Cond::Const(true), body, loc, &frame, chain, acc);
            }
            StmtKind::Arrow(action) => {
                if in_policy {
                    self.report(lint::g2023::pathless(loc, "a bare arrow"));
                    return;
                }
                let known = chain.known_fields();
                let scene =
                    Scene { env: &frame.env, known: &known, salt: b.salt ^ salt(&lint::show::path(&acc.pattern)) };
                let answer = self.answer(b, action, &scene);
                let plan = self.plan(b, chain, &[], answer, loc);
                b.scopes[scope].entries.push(Entry {
                    pattern: acc.pattern.clone(),
                    guard: Cond::Const(true),
                    target: Target::Plan(plan),
                    pathless: true,
                    loc,
                    names: frame.env.captures(),
                });
                let body = self.at(&frame.env, action.span);
                b.info.scopes[scope].entries.push(EntryInfo { stmt: loc, pattern: None, body, without: false });
            }
            // Read in the first pass.
            StmtKind::Let(_)
            | StmtKind::Use { .. }
            | StmtKind::Require { .. }
            | StmtKind::Limit(_)
            | StmtKind::Header(_)
            | StmtKind::Catch { .. }
            | StmtKind::Tls { .. }
            | StmtKind::Session { .. }
            | StmtKind::Endpoint(_)
            | StmtKind::Row { .. }
            | StmtKind::Setting { .. } => {}
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one statement and where it stands")]
    fn pathless(
        &mut self,
        b: &mut SiteBuild,
        scope: usize,
        guard: Cond,
        body: &'a Body,
        loc: Loc,
        frame: &Frame,
        chain: &Chain,
        acc: &ScopeAcc<'a>,
    ) {
        let at = RouteAt {
            pattern: acc.pattern.clone(),
            env: frame.env.clone(),
            guard,
            body,
            pathless: true,
            stmt: loc,
            written: None,
            without: &[],
            written_without: false,
        };
        self.entry(b, scope, at, frame, chain);
    }

    /// A guard that asks does so behind its block's policies, so no route that it competes with may leave
    /// one of these out (LANGUAGE rule 4).
    fn asks_beside_without(&mut self, b: &SiteBuild, scope: usize, since: usize, chain: &Chain) {
        let own: Vec<usize> = chain.policies.iter().filter_map(|policy| policy.tags.last().copied()).collect();
        let left_out = b.withouts[since..].iter().find(|(gone, _)| gone.iter().any(|n| own.contains(n)));
        let Some((_, without)) = left_out else { return };
        let asking = b.scopes[scope].entries.iter().find(|entry| self.waits_in(&entry.guard));
        if let Some(entry) = asking {
            self.report(lint::g1022::asks_beside_without(entry.loc, *without));
        }
    }

    /// Adds a candidate to a scope.
    fn entry(&mut self, b: &mut SiteBuild, scope: usize, at: RouteAt<'_, 'a>, frame: &Frame, chain: &Chain) {
        let (body_loc, head) = match at.body {
            Body::Action(action) => (self.at(&at.env, action.span), at.stmt),
            Body::Block(block) => {
                let braces = self.at(&at.env, block.span);
                let end = block.span.start.max(at.stmt.span.start);
                (braces, Loc { span: self.trim(at.stmt, end), ..at.stmt })
            }
        };
        let target = match at.body {
            Body::Action(action) => {
                let chain = chain.without(at.without);
                let mut known = chain.known_fields();
                known.extend(self.facts(&at.guard));
                let scene = Scene { env: &at.env, known: &known, salt: b.salt ^ salt(&lint::show::path(&at.pattern)) };
                let answer = self.answer(b, action, &scene);
                Target::Plan(self.plan(b, &chain, &[], answer, head))
            }
            Body::Block(block) => {
                let chain = chain.without(at.without);
                let mut acc = ScopeAcc::new(at.pattern.clone(), false);
                // Inside a route's block, its policy's condition holds already.
                let mut inner = Frame { env: at.env.clone(), when: Cond::Const(true), ..frame.clone() };
                if !frame.tags.is_empty() {
                    // A block of a policy's route is a block like any other.
                    inner.tags = Vec::new();
                    inner.used = None;
                    b.frames += 1;
                    inner.id = b.frames;
                }
                Target::Scope(self.block(b, block, &chain, &inner, &mut acc, head, body_loc, Some(&at.guard)))
            }
        };
        b.scopes[scope].entries.push(Entry {
            pattern: at.pattern,
            guard: at.guard,
            target,
            pathless: at.pathless,
            loc: head,
            names: at.env.captures(),
        });
        b.info.scopes[scope].entries.push(EntryInfo {
            stmt: at.stmt,
            pattern: at.written,
            body: body_loc,
            without: at.written_without,
        });
    }

    /// A statement's head: up to its block, spaces dropped.
    fn trim(&self, stmt: Loc, end: u32) -> Span {
        let span = Span { start: stmt.span.start, end };
        if stmt.file != self.linked.modules[0].file {
            return span;
        }
        match self.text.get(span.range()) {
            Some(text) => Span { end: span.start + u32::try_from(text.trim_end().len()).unwrap_or(0), ..span },
            None => span,
        }
    }

    /// The `use`s that a `without` removes (LANGUAGE rule 5).
    fn removed(
        &mut self,
        b: &SiteBuild,
        chain: &Chain,
        frame: &Frame,
        without: &[Spanned<Name>],
        patterns: &[Spanned<ast::PathPattern>],
    ) -> Vec<usize> {
        let mut gone = Vec::new();
        for name in without {
            let at = self.at(&frame.env, name.span);
            self.saw_policy(name, frame.env.module);
            let text = Self::name_text(&name.node);
            let literal = patterns.iter().all(|p| {
                p.node.tail != ast::Tail::Slash
                    && !matches!(p.node.tail, ast::Tail::Splat(_))
                    && p.node.segments.iter().all(|s| matches!(s.node.parts.as_slice(), [ast::SegmentPart::Lit(_)]))
            });
            let below = patterns.iter().find(|p| matches!(p.node.tail, ast::Tail::Splat(_)));
            if let Some(below) = below {
                let path = self.text.get(below.span.range()).filter(|_| frame.env.module == 0).unwrap_or_default();
                self.report(lint::g3022::subtree(at, &text, path));
            } else if !literal {
                self.report(lint::g2022::literal(at, &text));
            }
            let found: Vec<usize> = chain
                .policies
                .iter()
                .filter_map(|p| p.tags.last().copied())
                .filter(|&n| b.uses[n].0 == text && b.uses[n].1 == frame.id)
                .collect();
            if found.is_empty() {
                let near = crate::resolve::nearest(
                    &text,
                    chain.policies.iter().filter_map(|p| p.tags.last()).map(|&n| b.uses[n].0.as_str()),
                );
                self.report(lint::g2022::not_used(at, &text, near));
            }
            gone.extend(found);
        }
        gone
    }

    /// Rule 2: a pathless `when` that refuses, beside longer paths, does not refuse those.
    fn beside_longer_paths(&mut self, pending: &[Pending<'a>], base: &PathPattern) {
        let longer = pending.iter().find_map(|p| match &p.stmt.kind {
            StmtKind::Route { patterns, .. } => patterns.iter().find_map(|pattern| {
                let deeper = !pattern.node.segments.is_empty()
                    && (pattern.node.relative || pattern.node.segments.len() > base.segments.len());
                deeper.then(|| self.at(&p.frame.env, pattern.span))
            }),
            _ => None,
        });
        let Some(longer) = longer else { return };
        for p in pending {
            let StmtKind::When { cond, body: Body::Action(action) } = &p.stmt.kind else { continue };
            let word = match &action.node {
                Action::Deny { .. } => "deny",
                Action::Redirect { .. } => "redirect",
                Action::Visit { does, .. } => does.word(),
                Action::Relay { .. } => "respond",
                Action::Respond { status, .. } if status.node >= 400 => "respond",
                Action::Respond { .. } | Action::Files { .. } | Action::Split { .. } | Action::Proxy { .. } => continue,
            };
            let text = if p.frame.env.module == 0 { self.text } else { "" };
            let at = self.at(&p.frame.env, p.stmt.span);
            self.report(lint::g2021::refuses(at, word, longer, text, cond.span, action.span));
        }
    }

    /// Rule 1: beside other routes a bare arrow is written `else ->`.
    fn bare_beside_routes(&mut self, pending: &[Pending<'a>]) {
        if pending.len() < 2 {
            return;
        }
        for p in pending {
            if matches!(p.stmt.kind, StmtKind::Arrow(_)) {
                self.report(lint::g2024::bare(self.at(&p.frame.env, p.stmt.span)));
            }
        }
    }

    /// `require cond else answer`
    #[expect(clippy::too_many_arguments, reason = "the parts of one statement and where it stands")]
    fn require(
        &mut self,
        chain: &mut Chain,
        frame: &Frame,
        acc: &mut ScopeAcc<'a>,
        b: &mut SiteBuild,
        cond: &'a Spanned<Expr>,
        otherwise: Option<&'a Spanned<Action>>,
        loc: Loc,
    ) {
        let test = self.guard(cond, chain, &frame.env);
        let known = chain.known_fields();
        self.negations(cond, &test, &known, &frame.env);
        let answer = match otherwise {
            None => Some(Answer::Deny { status: 403 }),
            Some(action) => {
                let scene = Scene { env: &frame.env, known: &known, salt: b.salt ^ salt("require") };
                self.answer(b, action, &scene)
            }
        };
        if frame.when_is_true() {
            let facts = self.facts(&test);
            chain.known.extend(facts.into_iter().map(|node| Tagged { node, tags: frame.tags.clone() }));
        }
        let test = or(vec![not(frame.when.clone()), test]);
        self.copies_headers(chain, &test, loc);
        let otherwise = answer.unwrap_or(Answer::Deny { status: 403 });
        let key = format!("require {test:?} {otherwise:?}");
        self.protect(chain, frame, acc, "require", key, loc);
        chain.steps.push(Tagged { node: Step::Require { cond: test, otherwise, loc }, tags: frame.tags.clone() });
    }

    /// The headers that an `ask` copies are edited where it was asked (LANGUAGE rule 17).
    pub(super) fn copies_headers(&mut self, chain: &mut Chain, cond: &Cond, loc: Loc) {
        let copied = self.asks_in(cond).into_iter().flat_map(|ask| ask.copy.iter().cloned());
        chain.edited.extend(copied.map(|name| (name, loc)));
    }

    /// Remembers that a statement protects its block.
    pub(super) fn protect(
        &mut self,
        chain: &mut Chain,
        frame: &Frame,
        acc: &mut ScopeAcc<'a>,
        word: &str,
        key: String,
        loc: Loc,
    ) {
        let protector = match &frame.used {
            Some((name, at)) => Protector { name: name.clone(), loc: *at, key, used: true },
            None => Protector { name: word.to_owned(), loc, key, used: false },
        };
        acc.protectors.push(protector.clone());
        chain.protectors.push(Tagged { node: protector, tags: frame.tags.clone() });
    }

    /// `catch [502] -> answer`
    #[expect(clippy::too_many_arguments, reason = "the parts of one statement and where it stands")]
    fn catch(
        &mut self,
        b: &mut SiteBuild,
        chain: &mut Chain,
        frame: &Frame,
        acc: &mut ScopeAcc<'a>,
        statuses: &'a Spanned<Expr>,
        body: &'a Body,
        loc: Loc,
    ) {
        let at = self.at(&frame.env, statuses.span);
        let codes = self.statuses(statuses, &frame.env, "catch");
        if codes.iter().any(|c| *c < 400) {
            let ok = codes.iter().copied().find(|c| *c < 400).unwrap_or(200);
            self.report(lint::g2015::good(at, ok));
        }
        for earlier in acc.own_catches.iter().filter(|e| e.node.loc != loc) {
            if let Some(code) = codes.iter().find(|c| earlier.node.statuses.contains(c)) {
                let d = lint::g2016::twice(at, *code, earlier.node.loc);
                self.report(d);
                break;
            }
        }
        if !frame.when_is_true() {
            self.report(lint::g1022::conditional(loc, "catch"));
        }
        let action = match body {
            Body::Action(action) => Some(action),
            Body::Block(block) => match block.stmts.as_slice() {
                [Stmt { kind: StmtKind::Arrow(action), .. }] => Some(action),
                _ => {
                    self.report(lint::g1022::catch_block(self.at(&frame.env, block.span)));
                    None
                }
            },
        };
        let Some(action) = action else { return };
        let known = chain.known_fields();
        let scene = Scene { env: &frame.env, known: &known, salt: b.salt ^ salt("catch") };
        if matches!(action.node, Action::Relay { .. }) {
            self.report(lint::g1022::relay_in_catch(self.at(&frame.env, action.span)));
            return;
        }
        if let Some(answer) = self.answer(b, action, &scene) {
            acc.own_catches.push(Tagged { node: Catch { statuses: codes, answer, loc }, tags: frame.tags.clone() });
        }
    }

    /// Statuses that a word takes, sorted; what is wrong with them is reported.
    pub(super) fn statuses(&mut self, e: &Spanned<Expr>, env: &Env, word: &str) -> Vec<u16> {
        let loc = self.at(env, e.span);
        let val = self.eval(e, env, None);
        let items = match val {
            Val::List(items) => items,
            other => vec![(other, loc)],
        };
        let mut out = Vec::new();
        for (item, at) in items {
            match item {
                Val::Int(n) if (100..=599).contains(&n) => out.extend(u16::try_from(n)),
                Val::Range(a, z) if 100 <= a && a <= z && z <= 599 => {
                    out.extend((a..=z).filter_map(|n| u16::try_from(n).ok()));
                }
                Val::Int(n) => self.report(lint::g1011::status(at, n, "a status is a number from 100 to 599")),
                Val::Range(a, _) => self.report(lint::g1011::status(at, a, "a status is a number from 100 to 599")),
                Val::Opaque(..) => {}
                other => {
                    let found = other.ty().0.noun();
                    self.report(lint::g1005::wrong(at, &format!("`{word}` takes"), "a status", &found));
                }
            }
        }
        out.sort_unstable();
        out.dedup();
        out
    }
}

/// Whether every path of a pattern is a path of the block's.
pub(super) fn lies_inside(pattern: &PathPattern, base: &PathPattern) -> bool {
    if pattern.segments.len() < base.segments.len()
        || (!base.splat && (pattern.splat || pattern.segments.len() != base.segments.len()))
    {
        return false;
    }
    base.segments.iter().zip(&pattern.segments).all(|(outer, inner)| match inner {
        Segment::Lit(text) => outer.matches(text),
        Segment::Capture { .. } => inner == outer || *outer == Segment::any(),
    })
}
